// Pictures: bytes of a file to RGB, to the normalised pixels a vision tower takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace moellava {

struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

struct DecodeOptions {
  uint64_t max_bytes = 64ull << 20;  // of the file
  uint64_t max_pixels = 89'000'000;  // width x height, checked from the header before anything is decoded
  bool apply_exif_orientation = true;
};

// JPEG, PNG, WebP or GIF (first frame), told by content. Alpha is dropped as Pillow's convert("RGB") does;
// so are the low bytes of 16-bit colour, while 16-bit grey is clipped at 255, also as Pillow does.
// Throws BadData naming `where` for anything else and for damaged files, Limit for what the options refuse; a
// truncated file is never half-shown.
Image decode_image(std::span<const std::byte> bytes, const std::string& where,
                   const DecodeOptions& options = {});
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

// Pillow's Image.resize(BICUBIC) bit for bit: 22-bit fixed point, 8-bit intermediate, horizontal pass first.
Image resize_bicubic(const Image& image, int width, int height);
// Centred on a square of the longer side (LLaVA's expand2square).
Image pad_to_square(const Image& image, std::array<uint8_t, 3> background);
Image center_crop(const Image& image, int width, int height);

enum class AspectRatio { Pad, Square };  // config.json image_aspect_ratio: "pad", anything else

// preprocessor_config.json, as CLIPImageProcessor and SiglipImageProcessor use it.
struct PreprocessConfig {
  AspectRatio aspect_ratio = AspectRatio::Pad;
  int size = 336;
  bool resize_shortest_edge = true;  // false: straight to size x size (SigLIP, EfficientNet)
  bool center_crop = true;
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
};

// The 8-bit picture just before rescaling, [size, size, 3].
Image fit_to_tower(const Image& image, const PreprocessConfig& config);
// fit_to_tower, then (x / 255 - mean) / std as float32 [3, size, size].
std::vector<float> preprocess(const Image& image, const PreprocessConfig& config);

}  // namespace moellava
