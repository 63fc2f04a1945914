// Any bytes to decode_image, and what decodes to a small tower. Pictures are capped at 16k pixels, so that
// the fuzzer's time goes into the parsers.
#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "image/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  DecodeOptions options;
  options.max_pixels = 16'384;
  try {
    const Image image = decode_image(std::as_bytes(std::span(data, size)), "fuzz", options);
    if (image.width <= 0 || image.height <= 0) std::abort();
    if (image.rgb.size() != size_t{3} * image.width * image.height) std::abort();
    PreprocessConfig config;
    config.size = 8;
    for (AspectRatio ratio : {AspectRatio::Pad, AspectRatio::Square}) {
      config.aspect_ratio = ratio;
      if (preprocess(image, config).size() != size_t{3} * 8 * 8) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::Internal) std::abort();
  }
  return 0;
}
