#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.hpp"
#include "base/json.hpp"
#include "image/golden_testing.hpp"
#include "image/image.hpp"
#include "image/resize.hpp"

namespace moellava {
namespace {

// The same pictures as `draw` in tools/dump_pillow.py.
Image draw(int width, int height, const std::string& pattern, uint32_t seed) {
  Image image{width, height, {}};
  uint32_t state = seed;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        uint32_t value = 0;
        if (pattern == "noise") {
          state = state * 1664525u + 1013904223u;
          value = state >> 24;
        } else if (pattern == "gradient") {
          value = static_cast<uint32_t>(x * (3 + c) + y * (7 - 2 * c)) + seed;
        } else {
          value = (static_cast<uint32_t>(x / 3 + y / 2 + c) + seed) % 2 * 255;
        }
        image.rgb.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return image;
}

TEST(ResizeBicubic, EqualsPillow) {
  const Json cases = read_json(golden_path("resize.json"));
  ASSERT_EQ(cases.size(), 30u);
  for (const Json& item : cases) {
    const Image source = draw(item["width"], item["height"], item["pattern"], item["seed"]);
    for (const Json& target : item["to"]) {
      const Image resized = resize_bicubic(source, target[0], target[1]);
      EXPECT_EQ(resized.width, target[0].get<int>());
      EXPECT_EQ(resized.height, target[1].get<int>());
      EXPECT_EQ(crc32_of(resized.rgb), target[2].get<uint32_t>())
          << item["pattern"] << " " << source.width << " x " << source.height << " to " << target;
    }
  }
}

TEST(ResizeBicubic, SameSizeIsACopy) {
  const Image source = draw(19, 7, "noise", 3);
  EXPECT_EQ(resize_bicubic(source, 19, 7).rgb, source.rgb);
}

TEST(ResizeBicubic, RefusesEmptySizes) {
  const Image source = draw(4, 4, "noise", 3);
  EXPECT_THROW(resize_bicubic(source, 0, 4), Error);
  EXPECT_THROW(resize_bicubic(source, 4, -1), Error);
  EXPECT_THROW(resize_bicubic({}, 4, 4), Error);
}

// A canvas that is only imagined gives the bytes of one that is made.
TEST(ResizeCanvas, EqualsPaddingThenResizing) {
  const std::array<uint8_t, 3> background = {122, 116, 104};
  for (const auto& [width, height] : {std::pair{40, 7}, {7, 40}, {1, 90}, {33, 33}, {56, 20}}) {
    const Image source = draw(width, height, "noise", 11);
    const Image padded = pad_to_square(source, background);
    const int64_t side = padded.width;
    const Image expected = resize_bicubic(padded, 56, 56);
    const Image actual = resize_canvas(source, {side, (side - width) / 2, 56, 0, 56},
                                       {side, (side - height) / 2, 56, 0, 56}, background);
    EXPECT_EQ(actual.rgb, expected.rgb) << width << " x " << height;
  }
}

TEST(ResizeCanvas, KeepsThePartAskedFor) {
  const Image source = draw(31, 77, "checks", 2);
  const Image whole = resize_bicubic(source, 60, 150);
  const Image part = resize_canvas(source, {31, 0, 60, 7, 20}, {77, 0, 150, 90, 33}, {});
  ASSERT_EQ(part.rgb.size(), size_t{3} * 20 * 33);
  for (int y = 0; y < 33; ++y) {
    for (int i = 0; i < 60; ++i)
      ASSERT_EQ(part.rgb[size_t(y * 60 + i)], whole.rgb[size_t(((90 + y) * 60 + 7) * 3 + i)])
          << y << " " << i;
  }
}

}  // namespace
}  // namespace moellava
