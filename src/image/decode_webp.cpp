// WebP through libwebp: lossy, lossless, and the first frame of an animation. Alpha is dropped.
#include <webp/decode.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/orientation.hpp"

namespace moellava {

namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kChunkHeader = 8;   // four letters, length
constexpr size_t kRiffHeader = 12;   // "RIFF", length, "WEBP"
constexpr size_t kFrameHeader = 16;  // x / 2, y / 2, width - 1, height - 1, duration (24 bits each), flags

const uint8_t* raw(Bytes bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

uint32_t little_endian(Bytes bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= static_cast<uint32_t>(bytes[at + static_cast<size_t>(i)]) << (8 * i);
  return value;
}

struct Chunk {
  std::string_view name;
  Bytes whole;    // with its header
  Bytes content;  // without
};

Error truncated(const std::string& where) {
  return bad_data(where, "truncated WebP file");
}

// Takes the first chunk off `rest`; nothing when fewer bytes than a chunk header are left.
std::optional<Chunk> next_chunk(Bytes& rest, const std::string& where) {
  if (rest.size() < kChunkHeader) return std::nullopt;
  const size_t length = little_endian(rest, 4, 4);
  if (length > rest.size() - kChunkHeader) throw truncated(where);
  Chunk chunk;
  chunk.name = {reinterpret_cast<const char*>(rest.data()), 4};
  chunk.whole = rest.first(kChunkHeader + length);
  chunk.content = chunk.whole.subspan(kChunkHeader);
  rest = rest.subspan(std::min(rest.size(), kChunkHeader + length + length % 2));
  return chunk;
}

std::optional<Chunk> find_chunk(Bytes rest, std::string_view name, const std::string& where) {
  while (const auto chunk = next_chunk(rest, where)) {
    if (chunk->name == name) return chunk;
  }
  return std::nullopt;
}

void require_ok(VP8StatusCode status, const std::string& where) {
  switch (status) {
    case VP8_STATUS_OK:
      return;
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      throw truncated(where);
    case VP8_STATUS_OUT_OF_MEMORY:
      throw limit_error(where, "no memory to decode WebP");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      throw bad_data(where, "WebP file of an unsupported kind");
    default:
      throw bad_data(where, "damaged WebP file");
  }
}

struct FreeBuffer {
  void operator()(WebPDecBuffer* buffer) const { WebPFreeDecBuffer(buffer); }
};

// One still picture: a whole file, or a single "VP8 " or "VP8L" chunk.
Image decode_still(Bytes bytes, const std::string& where, const DecodeOptions& options) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) throw limit_error(where, "libwebp of another version");
  require_ok(WebPGetFeatures(raw(bytes), bytes.size(), &config.input), where);
  require_size(config.input.width, config.input.height, where, options);

  // libwebp's own buffer, copied after: it stays untouched, and so costs nothing, where decoding fails.
  config.output.colorspace = MODE_RGB;
  const VP8StatusCode status = WebPDecode(raw(bytes), bytes.size(), &config);
  const std::unique_ptr<WebPDecBuffer, FreeBuffer> output(&config.output);
  require_ok(status, where);

  Image image = empty_image(output->width, output->height);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = output->u.RGBA.rgba + ptrdiff_t{output->u.RGBA.stride} * y;
    image.rgb.insert(image.rgb.end(), row, row + ptrdiff_t{3} * image.width);
  }
  return image;
}

// The first frame of an animation on its canvas, black where the frame does not reach.
Image decode_first_frame(Bytes chunks, const WebPBitstreamFeatures& canvas, const std::string& where,
                         const DecodeOptions& options) {
  const auto frame = find_chunk(chunks, "ANMF", where);
  if (!frame || frame->content.size() < kFrameHeader)
    throw bad_data(where, "damaged WebP file: animation without a frame");
  const Bytes content = frame->content.subspan(kFrameHeader);
  auto picture = find_chunk(content, "VP8 ", where);
  if (!picture) picture = find_chunk(content, "VP8L", where);
  if (!picture) throw bad_data(where, "damaged WebP file: frame without a picture");
  const int64_t left = int64_t{2} * little_endian(frame->content, 0, 3);
  const int64_t top = int64_t{2} * little_endian(frame->content, 3, 3);

  const Image still = decode_still(picture->whole, where, options);
  if (left + still.width > canvas.width || top + still.height > canvas.height)
    throw bad_data(where, "damaged WebP file: frame outside of its canvas");
  Image image{canvas.width, canvas.height, {}};
  image.rgb.resize(size_t{3} * canvas.width * canvas.height);
  for (int y = 0; y < still.height; ++y) {
    std::copy_n(still.rgb.begin() + ptrdiff_t{3} * still.width * y, size_t{3} * still.width,
                image.rgb.begin() + 3 * (ptrdiff_t{canvas.width} * (top + y) + left));
  }
  return image;
}

}  // namespace

Decoded decode_webp(Bytes bytes, const std::string& where, const DecodeOptions& options) {
  // The length in the header, checked here, tells a cut file before a byte of it is decoded.
  const size_t length = little_endian(bytes, 4, 4);
  if (length > bytes.size() - kChunkHeader) throw truncated(where);
  if (length < kRiffHeader - kChunkHeader)
    throw bad_data(where, "damaged WebP file", {.found = "length " + std::to_string(length)});
  const Bytes file = bytes.first(kChunkHeader + length);
  const Bytes chunks = file.subspan(kRiffHeader);

  WebPBitstreamFeatures features;
  require_ok(WebPGetFeatures(raw(file), file.size(), &features), where);
  require_size(features.width, features.height, where, options);
  Decoded decoded;
  decoded.image = features.has_animation != 0 ? decode_first_frame(chunks, features, where, options)
                                              : decode_still(file, where, options);
  if (const auto exif = find_chunk(chunks, "EXIF", where))
    decoded.orientation = exif_orientation(exif->content);
  return decoded;
}

}  // namespace moellava
