// From a decoded picture to what a vision tower takes. CLIPImageProcessor's steps, on 8-bit pixels until the
// last one.
#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "image/image.hpp"
#include "image/resize.hpp"

namespace moellava {

namespace {

using Colour = std::array<uint8_t, 3>;

int64_t floor_half(int64_t value) {
  return value >= 0 ? value / 2 : -((1 - value) / 2);
}

Colour mean_colour(const PreprocessConfig& config) {
  Colour colour{};
  for (size_t c = 0; c < 3; ++c)
    colour[c] = static_cast<uint8_t>(std::clamp(static_cast<double>(config.mean[c]) * 255, 0.0, 255.0));
  return colour;
}

// A copy of `image` with its corner at (left, top) of a canvas; what lies outside is cut off.
Image place(const Image& image, int width, int height, int64_t left, int64_t top, const Colour& background) {
  Image canvas{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  for (size_t i = 0; i < canvas.rgb.size(); i += 3)
    std::copy(background.begin(), background.end(), canvas.rgb.begin() + static_cast<ptrdiff_t>(i));
  const int64_t skip_x = std::max<int64_t>(-left, 0);
  const int64_t skip_y = std::max<int64_t>(-top, 0);
  const int64_t end_x = std::min<int64_t>(image.width, width - left);
  const int64_t end_y = std::min<int64_t>(image.height, height - top);
  for (int64_t y = skip_y; y < end_y && skip_x < end_x; ++y) {
    std::copy(image.rgb.begin() + 3 * (y * image.width + skip_x),
              image.rgb.begin() + 3 * (y * image.width + end_x),
              canvas.rgb.begin() + 3 * ((top + y) * width + left + skip_x));
  }
  return canvas;
}

Image fit_padded(const Image& image, const PreprocessConfig& config) {
  const int64_t side = std::max(image.width, image.height);
  const int64_t size = config.size;
  return resize_canvas(image, {side, (side - image.width) / 2, size, 0, size},
                       {side, (side - image.height) / 2, size, 0, size}, mean_colour(config));
}

// The shortest edge becomes `size`, the middle square of what results is kept.
Image fit_cropped(const Image& image, const PreprocessConfig& config) {
  const int64_t size = config.size;
  const int64_t shortest = std::min(image.width, image.height);
  const auto axis = [&](int64_t length) {
    // As Python's int(size * long / short): the division is a floating-point one.
    const auto resized =
        static_cast<int64_t>(static_cast<double>(size * length) / static_cast<double>(shortest));
    return ResizeAxis{length, 0, resized, (resized - size) / 2, size};
  };
  if (!config.center_crop && image.width != image.height) {
    throw bad_data("do_center_crop", "pictures must become square",
                   {.found = "false with a shortest edge", .expected = "true, or a height and width"});
  }
  return resize_canvas(image, axis(image.width), axis(image.height), {});
}

}  // namespace

Image pad_to_square(const Image& image, std::array<uint8_t, 3> background) {
  const int side = std::max(image.width, image.height);
  constexpr int kLongestSide = 16'384;
  if (side > kLongestSide) {
    throw limit_error("pad", "picture too long to make square",
                      {.found = std::to_string(side), .expected = "at most " + std::to_string(kLongestSide)});
  }
  return place(image, side, side, (side - image.width) / 2, (side - image.height) / 2, background);
}

Image center_crop(const Image& image, int width, int height) {
  if (width <= 0 || height <= 0) {
    throw usage_error("crop", "picture without pixels",
                      {.found = std::to_string(width) + " x " + std::to_string(height)});
  }
  // A picture smaller than the crop is surrounded by black.
  return place(image, width, height, -floor_half(int64_t{image.width} - width),
               -floor_half(int64_t{image.height} - height), {});
}

Image fit_to_tower(const Image& image, const PreprocessConfig& config) {
  if (image.width <= 0 || image.height <= 0 || config.size <= 0) {
    throw usage_error("preprocess", "picture without pixels",
                      {.found = std::to_string(image.width) + " x " + std::to_string(image.height) +
                                " to size " + std::to_string(config.size)});
  }
  if (config.aspect_ratio == AspectRatio::Pad) return fit_padded(image, config);
  if (config.resize_shortest_edge) return fit_cropped(image, config);
  return resize_bicubic(image, config.size, config.size);
}

std::vector<float> preprocess(const Image& image, const PreprocessConfig& config) {
  const Image fitted = fit_to_tower(image, config);
  const size_t pixels = fitted.rgb.size() / 3;
  std::vector<float> values(3 * pixels);
  for (size_t c = 0; c < 3; ++c) {
    std::array<float, 256> table{};
    for (size_t level = 0; level < table.size(); ++level)
      table[level] =
          (static_cast<float>(static_cast<double>(level) * (1.0 / 255)) - config.mean[c]) / config.std[c];
    for (size_t i = 0; i < pixels; ++i) values[c * pixels + i] = table[fitted.rgb[3 * i + c]];
  }
  return values;
}

}  // namespace moellava
