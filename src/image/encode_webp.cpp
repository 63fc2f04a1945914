#include <webp/encode.h>

#include <memory>

#include "base/error.hpp"
#include "image/encode.hpp"

namespace moellava {

std::string encode_webp(const Image& image, float quality) {
  const auto pixels = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  if (image.width <= 0 || image.height <= 0 || image.rgb.size() != 3 * pixels)
    throw Error(ErrorKind::Internal, "picture: has no pixels");
  uint8_t* data = nullptr;
  const size_t size =
      WebPEncodeRGB(image.rgb.data(), image.width, image.height, 3 * image.width, quality, &data);
  const std::unique_ptr<uint8_t, decltype(&WebPFree)> owner(data, WebPFree);
  if (size == 0) throw limit_error("picture", "cannot be encoded as WebP");
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace moellava
