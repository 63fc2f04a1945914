// What decode.cpp asks of the four decoders, and what they share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "image/image.hpp"

namespace moellava {

struct Decoded {
  Image image;
  int orientation = 1;  // as the file's EXIF block says, 1 when it says nothing; not yet applied
};

// All throw BadData for damaged or truncated files and Limit for too many pixels, naming `where`.
Decoded decode_jpeg(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options);
Decoded decode_png(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options);
Decoded decode_webp(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options);
Decoded decode_gif(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options);

// Checks the size a header claims, before anything is allocated for it.
void require_size(int64_t width, int64_t height, const std::string& where, const DecodeOptions& options);

// An image of the given size without its pixels: memory is set aside, but none of it is touched before there
// are pixels to put into it, so that a small file claiming to be large costs nothing.
Image empty_image(int64_t width, int64_t height);

}  // namespace moellava
