// Bicubic resizing of a picture that lies on a larger, mostly empty canvas, of which only a part is wanted.
// The canvas is never made: padding a 1 x 60000 picture to a square, or cropping the middle out of its
// resized form, costs only what the wanted pixels cost.
#pragma once

#include <array>
#include <cstdint>

#include "image/image.hpp"

namespace moellava {

// Along x or y, in pixels.
struct ResizeAxis {
  int64_t canvas;     // length before resizing
  int64_t offset;     // where the picture begins on the canvas; it ends on it too
  int64_t resized;    // length after resizing
  int64_t first = 0;  // the part of the resized canvas that is wanted: [first, first + count)
  int64_t count = 0;
};

// Result: [y.count, x.count, 3]. Bit for bit what Pillow's paste, resize(BICUBIC) and crop give.
Image resize_canvas(const Image& image, const ResizeAxis& x, const ResizeAxis& y,
                    std::array<uint8_t, 3> background);

}  // namespace moellava
