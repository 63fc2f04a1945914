#include "image/resize.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace moellava {

namespace {

// Weights are integers of 22 fraction bits: with 8-bit samples, and the third by which a bicubic's negative
// lobes let a sum overshoot, a sum of products stays within 32 bits.
constexpr int kFractionBits = 22;
constexpr double kSupport = 2.0;

// Keys' cubic convolution with a = -1/2.
double cubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

// One output sample: (sum over i of weights[i] * in[begin + i] + outside * background) >> kFractionBits.
struct Window {
  int64_t begin;  // in the picture, not the canvas
  int64_t count;  // of weights that lie on the picture and are not 0
  size_t weights;
  int32_t outside;  // sum of the weights that lie on the background
};

struct Windows {
  std::vector<Window> at;        // [count]
  std::vector<int32_t> weights;  // of all windows, one after the other
};

// Shrinking widens the filter by the scale; at the canvas' edges the filter is cut and what is left is
// normalised. The order of the floating-point operations decides the last bit, and follows Pillow.
Windows make_windows(const ResizeAxis& axis, int64_t extent) {
  const double scale = static_cast<double>(axis.canvas) / static_cast<double>(axis.resized);
  const double stretch = std::max(scale, 1.0);
  const double support = kSupport * stretch;
  const double narrow = 1.0 / stretch;

  Windows windows;
  windows.at.reserve(static_cast<size_t>(axis.count));
  std::vector<double> taps;
  for (int64_t out = axis.first; out < axis.first + axis.count; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const auto low = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto high = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), axis.canvas);
    taps.clear();
    double sum = 0.0;
    for (int64_t i = 0; i < high - low; ++i) {
      taps.push_back(cubic((static_cast<double>(i + low) - center + 0.5) * narrow));
      sum += taps.back();
    }
    Window window{low - axis.offset, 0, windows.weights.size(), 0};
    for (int64_t i = 0; i < high - low; ++i) {
      double& tap = taps[static_cast<size_t>(i)];
      if (sum != 0.0) tap /= sum;
      const double fixed = tap * (1 << kFractionBits);
      const auto weight = static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
      const int64_t in = low + i - axis.offset;
      if (in < 0 || in >= extent) {
        window.outside += weight;
        continue;
      }
      if (window.count == 0) window.begin = in;
      if (window.count == 0 && weight == 0) continue;
      windows.weights.push_back(weight);
      ++window.count;
    }
    while (window.count > 0 && windows.weights.back() == 0) {
      windows.weights.pop_back();
      --window.count;
    }
    windows.at.push_back(window);
  }
  return windows;
}

using Sums = std::array<int32_t, 3>;

Sums start_sums(const Window& window, const std::array<uint8_t, 3>& background) {
  Sums sums{};
  for (size_t c = 0; c < 3; ++c) sums[c] = (1 << (kFractionBits - 1)) + window.outside * background[c];
  return sums;
}

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// Rows [first, first + count) of the picture: [count, windows, 3].
std::vector<uint8_t> resize_rows(const Image& image, int64_t first, int64_t count, const Windows& windows,
                                 const std::array<uint8_t, 3>& background) {
  std::vector<uint8_t> result(static_cast<size_t>(count) * windows.at.size() * 3);
  std::vector<Sums> starts;
  for (const Window& window : windows.at) starts.push_back(start_sums(window, background));
  uint8_t* out = result.data();
  for (int64_t y = first; y < first + count; ++y) {
    const uint8_t* row = image.rgb.data() + y * image.width * 3;
    for (size_t x = 0; x < windows.at.size(); ++x, out += 3) {
      const Window& window = windows.at[x];
      const int32_t* weight = windows.weights.data() + window.weights;
      const uint8_t* in = row + window.begin * 3;
      auto [red, green, blue] = starts[x];
      for (int64_t i = 0; i < window.count; ++i, in += 3) {
        red += weight[i] * in[0];
        green += weight[i] * in[1];
        blue += weight[i] * in[2];
      }
      out[0] = to_byte(red);
      out[1] = to_byte(green);
      out[2] = to_byte(blue);
    }
  }
  return result;
}

// sums[i] += weight * in[i]: the inner loop of the vertical pass, on its own so that it is vectorised.
void add_scaled(int32_t* __restrict sums, const uint8_t* __restrict in, int32_t weight, size_t count) {
  for (size_t i = 0; i < count; ++i) sums[i] += weight * in[i];
}

// `rows`: [any, row_bytes], of which the first is row `first` of the picture. Result: [windows, row_bytes].
std::vector<uint8_t> resize_columns(const std::vector<uint8_t>& rows, int64_t first, size_t row_bytes,
                                    const Windows& windows, const std::array<uint8_t, 3>& background) {
  std::vector<uint8_t> result(windows.at.size() * row_bytes);
  std::vector<int32_t> sums(row_bytes);
  uint8_t* out = result.data();
  for (const Window& window : windows.at) {
    const Sums start = start_sums(window, background);
    for (size_t i = 0; i < row_bytes; i += 3) std::copy(start.begin(), start.end(), sums.begin() + i);
    const uint8_t* in = rows.data() + static_cast<size_t>(window.begin - first) * row_bytes;
    for (int64_t i = 0; i < window.count; ++i) {
      add_scaled(sums.data(), in + static_cast<size_t>(i) * row_bytes,
                 windows.weights[window.weights + static_cast<size_t>(i)], row_bytes);
    }
    out = std::transform(sums.begin(), sums.end(), out, to_byte);
  }
  return result;
}

}  // namespace

Image resize_canvas(const Image& image, const ResizeAxis& x, const ResizeAxis& y,
                    std::array<uint8_t, 3> background) {
  const Windows across = make_windows(x, image.width);
  const Windows down = make_windows(y, image.height);
  int64_t first = image.height;
  int64_t end = 0;
  for (const Window& window : down.at) {
    if (window.count == 0) continue;
    first = std::min(first, window.begin);
    end = std::max(end, window.begin + window.count);
  }
  first = std::min(first, end);
  // A window that is all background has no rows; any place will do for its empty sum.
  Windows placed = down;
  for (Window& window : placed.at) {
    if (window.count == 0) window.begin = first;
  }
  const std::vector<uint8_t> rows = resize_rows(image, first, end - first, across, background);
  return {static_cast<int>(x.count), static_cast<int>(y.count),
          resize_columns(rows, first, static_cast<size_t>(x.count) * 3, placed, background)};
}

Image resize_bicubic(const Image& image, int width, int height) {
  if (image.width <= 0 || image.height <= 0 || width <= 0 || height <= 0) {
    throw usage_error("resize", "picture without pixels",
                      {.found = std::to_string(image.width) + " x " + std::to_string(image.height) + " to " +
                                std::to_string(width) + " x " + std::to_string(height)});
  }
  if (width == image.width && height == image.height) return image;
  return resize_canvas(image, {image.width, 0, width, 0, width}, {image.height, 0, height, 0, height}, {});
}

}  // namespace moellava
