// Pictures as bytes of a file, for pages and charts.
#pragma once

#include <string>

#include "image/image.hpp"

namespace moellava {

// A WebP file, `quality` 0 to 100 (libwebp's scale). Throws Limit when there is no memory for it, Internal
// for a picture without pixels.
std::string encode_webp(const Image& image, float quality = 85);

}  // namespace moellava
