// How the camera was held: EXIF tag 0x0112.
#pragma once

#include <cstddef>
#include <span>

#include "image/image.hpp"

namespace moellava {

// Reads the tag out of an EXIF block, with or without the leading "Exif\0\0". 1 (upright) when the block is
// damaged or does not say.
int exif_orientation(std::span<const std::byte> block);

// Turns the picture upright; `orientation` 1..8 as EXIF numbers them, as Pillow's exif_transpose does.
Image apply_orientation(Image image, int orientation);

}  // namespace moellava
