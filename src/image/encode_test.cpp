#include "image/encode.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.hpp"

namespace moellava {
namespace {

TEST(EncodeWebp, ComesBackNearlyAsItWas) {
  Image image{.width = 40, .height = 24, .rgb = {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (const int value : {4 * x, 8 * y, 100}) image.rgb.push_back(static_cast<uint8_t>(value));
    }
  }
  const std::string file = encode_webp(image, 95);
  EXPECT_LT(file.size(), image.rgb.size());
  const Image back = decode_image(std::as_bytes(std::span(file)), "file");
  ASSERT_EQ(back.width, image.width);
  ASSERT_EQ(back.height, image.height);
  for (size_t i = 0; i < image.rgb.size(); ++i) EXPECT_LE(std::abs(back.rgb[i] - image.rgb[i]), 24) << i;
}

TEST(EncodeWebp, RefusesWhatIsNoPicture) {
  EXPECT_THROW(encode_webp({}), Error);
  EXPECT_THROW(encode_webp({.width = 2, .height = 2, .rgb = std::vector<uint8_t>(11)}), Error);
}

}  // namespace
}  // namespace moellava
