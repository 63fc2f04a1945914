#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "image/golden_testing.hpp"
#include "image/image.hpp"

namespace moellava {
namespace {

// The golden files were made for a tower of 56 x 56.
PreprocessConfig tiny_tower(AspectRatio ratio) {
  PreprocessConfig config;
  config.size = 56;
  config.aspect_ratio = ratio;
  return config;
}

// [H, W, 3] as [3, H, W].
std::vector<uint8_t> planes(const Image& image) {
  const size_t pixels = image.rgb.size() / 3;
  std::vector<uint8_t> result(image.rgb.size());
  for (size_t i = 0; i < image.rgb.size(); ++i) result[i % 3 * pixels + i / 3] = image.rgb[i];
  return result;
}

struct Golden {
  std::string file;
  std::string name;
};

class PreprocessGolden : public testing::TestWithParam<Golden> {};

TEST_P(PreprocessGolden, ResizedBytesEqualPillow) {
  const Image image = read_image(golden_path(GetParam().file));
  EXPECT_EQ(planes(fit_to_tower(image, tiny_tower(AspectRatio::Pad))),
            golden_npy<uint8_t>(GetParam().name + "_pad_resized_u8.npy"));
  EXPECT_EQ(planes(fit_to_tower(image, tiny_tower(AspectRatio::Square))),
            golden_npy<uint8_t>(GetParam().name + "_square_resized_u8.npy"));
}

INSTANTIATE_TEST_SUITE_P(Pictures, PreprocessGolden,
                         testing::Values(Golden{"img0.png", "img0"}, Golden{"img1.jpg", "img1"},
                                         Golden{"img2.png", "img2"}, Golden{"img3.png", "img3"}),
                         [](const auto& test) { return test.param.name; });

void expect_pixel_values(const std::string& file, AspectRatio ratio, const std::string& golden) {
  const std::vector<float> actual = preprocess(read_image(golden_path(file)), tiny_tower(ratio));
  const std::vector<float> expected = golden_npy<float>(golden);
  ASSERT_EQ(actual.size(), expected.size());
  float worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) worst = std::max(worst, std::abs(actual[i] - expected[i]));
  EXPECT_LE(worst, 1e-6f);
}

TEST(Preprocess, PixelValuesEqualClipProcessor) {
  expect_pixel_values("img0.png", AspectRatio::Pad, "img0_pad_pixel_values.npy");
  expect_pixel_values("img1.jpg", AspectRatio::Square, "img1_square_pixel_values.npy");
}

Image plain(int width, int height, uint8_t level) {
  return {width, height, std::vector<uint8_t>(size_t{3} * width * height, level)};
}

TEST(Preprocess, WithoutShortestEdgeThePictureIsStretched) {
  PreprocessConfig config = tiny_tower(AspectRatio::Square);
  config.resize_shortest_edge = false;
  config.center_crop = false;
  const Image image = read_image(golden_path("img0.png"));
  EXPECT_EQ(fit_to_tower(image, config).rgb, resize_bicubic(image, 56, 56).rgb);
}

TEST(Preprocess, PaddingColourIsTheMeanRoundedDown) {
  PreprocessConfig config = tiny_tower(AspectRatio::Pad);
  const Image clip = fit_to_tower(plain(1, 40, 255), config);
  EXPECT_EQ(std::vector<uint8_t>(clip.rgb.begin(), clip.rgb.begin() + 3),
            (std::vector<uint8_t>{122, 116, 104}));
  config.mean = {0.5f, 0.5f, 0.5f};
  const Image siglip = fit_to_tower(plain(40, 1, 255), config);
  EXPECT_EQ(std::vector<uint8_t>(siglip.rgb.begin(), siglip.rgb.begin() + 3), (std::vector<uint8_t>(3, 127)));
}

// Padded or resized whole, these would be pictures of gigabytes.
TEST(Preprocess, ExtremeShapesCostNoMoreThanTheirPixels) {
  for (const auto& [width, height] : {std::pair{1, 65500}, {65500, 1}, {3, 20000}, {1, 1}}) {
    for (AspectRatio ratio : {AspectRatio::Pad, AspectRatio::Square}) {
      PreprocessConfig config;
      config.aspect_ratio = ratio;
      const Image fitted = fit_to_tower(plain(width, height, 200), config);
      EXPECT_EQ(fitted.rgb.size(), size_t{3} * 336 * 336);
      if (ratio == AspectRatio::Square) {
        EXPECT_EQ(fitted.rgb, std::vector<uint8_t>(fitted.rgb.size(), 200)) << width << " x " << height;
      }
    }
  }
}

TEST(Preprocess, RefusesShapesATowerCannotTake) {
  PreprocessConfig config = tiny_tower(AspectRatio::Square);
  EXPECT_THROW(fit_to_tower({}, config), Error);
  config.center_crop = false;
  EXPECT_EQ(fit_to_tower(plain(9, 9, 1), config).rgb.size(), size_t{3} * 56 * 56);
  EXPECT_THROW(fit_to_tower(plain(9, 8, 1), config), Error);
  config.size = 0;
  EXPECT_THROW(fit_to_tower(plain(9, 9, 1), config), Error);
}

// One byte a pixel, three times.
Image numbered(int width, int height) {
  Image image{width, height, {}};
  for (int i = 0; i < width * height; ++i) image.rgb.insert(image.rgb.end(), 3, static_cast<uint8_t>(i + 1));
  return image;
}

std::vector<int> reds(const Image& image) {
  std::vector<int> result;
  for (size_t i = 0; i < image.rgb.size(); i += 3) result.push_back(image.rgb[i]);
  return result;
}

TEST(PadToSquare, OddRestGoesToTheRightAndBottom) {
  EXPECT_EQ(reds(pad_to_square(numbered(3, 2), {9, 9, 9})), (std::vector{1, 2, 3, 4, 5, 6, 9, 9, 9}));
  EXPECT_EQ(reds(pad_to_square(numbered(1, 4), {9, 9, 9})),
            (std::vector{9, 1, 9, 9, 9, 2, 9, 9, 9, 3, 9, 9, 9, 4, 9, 9}));
  EXPECT_THROW(pad_to_square(numbered(1, 65500), {9, 9, 9}), Error);
}

TEST(CenterCrop, OddRestIsCutAtTheEnd) {
  EXPECT_EQ(reds(center_crop(numbered(4, 3), 1, 2)), (std::vector{2, 6}));
  EXPECT_EQ(reds(center_crop(numbered(4, 3), 4, 3)), reds(numbered(4, 3)));
}

TEST(CenterCrop, SmallPicturesAreSurroundedByBlack) {
  EXPECT_EQ(reds(center_crop(numbered(1, 3), 2, 3)), (std::vector{0, 1, 0, 2, 0, 3}));
  EXPECT_EQ(reds(center_crop(numbered(3, 1), 1, 3)), (std::vector{0, 2, 0}));
  EXPECT_THROW(center_crop(numbered(3, 1), 0, 3), Error);
}

}  // namespace
}  // namespace moellava
