#include <filesystem>

#include "model/tower_files.hpp"
#include "model/vision_tower.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::golden;
using testing::load_golden;
using testing::random_tensor;

// The tiny tower that the reference numbers were made with.
ClipTower load_tower(const std::string& folder, VisionConfig& config) {
  const TowerFiles files = open_tower(golden(folder));
  config = files.config;
  ClipTower tower(config);
  tower.visit("", [&](const std::string& name, at::Tensor& tensor) {
    const TensorView* view = files.tensors.find(name.substr(1));
    ASSERT_NE(view, nullptr) << name;
    ASSERT_EQ(view->shape, tensor.sizes().vec()) << name;
    to_float32(*view, {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())});
  });
  return tower;
}

TEST(Clip, HiddenStatesAndFeaturesEqualTheReference) {
  VisionConfig config;
  const ClipTower tower = load_tower("clip_tiny", config);
  for (const char* image : {"img0", "img1"}) {
    const at::Tensor pixels =
        load_golden(std::string("pixels/") + image + "_pad_pixel_values.npy").unsqueeze(0);
    const at::Tensor expected = load_golden(std::string("vision/") + image + "_hidden_states.npy");
    const std::vector<at::Tensor> states = tower.hidden_states(pixels);
    ASSERT_EQ(static_cast<int64_t>(states.size()), config.layers);  // embeddings and all layers but the last
    for (size_t i = 0; i < states.size(); ++i)
      EXPECT_TENSORS_CLOSE(states[i][0], expected[static_cast<int64_t>(i)]);
    EXPECT_TENSORS_CLOSE(tower.features(pixels)[0],
                         load_golden(std::string("vision/") + image + "_selected.npy"));
  }
}

TEST(Clip, ClassTokenIsKeptWhenAsked) {
  VisionConfig config;
  load_tower("clip_tiny", config);
  config.select_class_token = true;
  ClipTower tower(config);
  tower.visit("", [](const std::string&, at::Tensor& tensor) { tensor.fill_(0.01); });
  EXPECT_EQ(tower.features(random_tensor({1, 3, config.image_size, config.image_size}, 1)).size(1),
            config.tokens());
}

TEST(Clip, GeometryIsFreeAndBatchesAgreeWithSinglePictures) {
  VisionConfig config;
  config.hidden_size = 24;
  config.heads = 3;
  config.layers = 2;
  config.intermediate_size = 16;
  config.image_size = 30;
  config.patch_size = 10;
  ClipTower tower(config);
  uint64_t stream = 0;
  tower.visit(
      "", [&](const std::string&, at::Tensor& tensor) { tensor = random_tensor(tensor.sizes(), ++stream); });
  const at::Tensor pixels = random_tensor({3, 3, 30, 30}, 99);
  const at::Tensor batch = tower.features(pixels);
  ASSERT_EQ(batch.sizes(), (std::vector<int64_t>{3, 9, 24}));
  for (int64_t i = 0; i < 3; ++i) EXPECT_TENSORS_CLOSE(batch[i], tower.features(pixels.narrow(0, i, 1))[0]);
}

// 58 pixels are 4 patches of 14 and 2 pixels that nobody sees.
TEST(Siglip, HiddenStatesAndFeaturesEqualTheReference) {
  VisionConfig config;
  const ClipTower tower = load_tower("siglip/tower", config);
  EXPECT_EQ(config.kind, TowerKind::Siglip);
  const at::Tensor pixels = load_golden("siglip/pixel_values.npy").unsqueeze(0);
  const at::Tensor expected = load_golden("siglip/hidden_states.npy");
  const std::vector<at::Tensor> states = tower.hidden_states(pixels);
  ASSERT_EQ(static_cast<int64_t>(states.size()), config.layers);
  for (size_t i = 0; i < states.size(); ++i)
    EXPECT_TENSORS_CLOSE(states[i][0], expected[static_cast<int64_t>(i)]);
  EXPECT_TENSORS_CLOSE(tower.features(pixels)[0], expected[config.layers - 1].narrow(0, 1, 15));
}

TEST(Siglip, AllPatchesAreKeptWhenAsked) {
  VisionConfig config;
  load_tower("siglip/tower", config);
  EXPECT_EQ(config.tokens(), 15);
  config.select_class_token = true;
  EXPECT_EQ(config.tokens(), 16);
  ClipTower tower(config);
  tower.visit("", [](const std::string&, at::Tensor& tensor) { tensor.fill_(0.01); });
  EXPECT_EQ(tower.features(random_tensor({1, 3, 58, 58}, 1)).size(1), 16);
}

// A convolution written as loops, with TensorFlow's SAME padding.
at::Tensor naive_conv_norm(const ConvNorm& conv, const at::Tensor& x) {
  const int64_t kernel = conv.weight.size(2), in = x.size(1),
                out_size = (x.size(2) + conv.stride - 1) / conv.stride;
  const int64_t pad = std::max<int64_t>((out_size - 1) * conv.stride + kernel - x.size(2), 0) / 2;
  const int64_t per_group = in / conv.groups, out = conv.weight.size(0), out_per_group = out / conv.groups;
  at::Tensor y = at::zeros({1, out, out_size, out_size});
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t r = 0; r < out_size; ++r) {
      for (int64_t c = 0; c < out_size; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < per_group; ++i) {
          for (int64_t dr = 0; dr < kernel; ++dr) {
            for (int64_t dc = 0; dc < kernel; ++dc) {
              const int64_t row = r * conv.stride + dr - pad, column = c * conv.stride + dc - pad;
              if (row < 0 || column < 0 || row >= x.size(2) || column >= x.size(3)) continue;
              sum += conv.weight[o][i][dr][dc].item<double>() *
                     x[0][o / out_per_group * per_group + i][row][column].item<double>();
            }
          }
        }
        const double scale = conv.scale[o].item<double>() / std::sqrt(conv.variance[o].item<double>() + 1e-3);
        y[0][o][r][c] = (sum - conv.mean[o].item<double>()) * scale + conv.shift[o].item<double>();
      }
    }
  }
  return y;
}

TEST(EfficientNet, ConvolutionEqualsThePlainLoop) {
  struct Case {
    int64_t in, out, kernel, stride, groups, size;
  };
  for (const Case& c :
       {Case{3, 4, 3, 2, 1, 6}, Case{4, 4, 5, 2, 4, 7}, Case{4, 4, 3, 1, 4, 5}, Case{2, 6, 1, 1, 1, 3}}) {
    ConvNorm conv(c.in, c.out, c.kernel, c.stride, c.groups);
    conv.weight = random_tensor(conv.weight.sizes(), 1);
    conv.scale = random_tensor({c.out}, 2);
    conv.shift = random_tensor({c.out}, 3);
    conv.mean = random_tensor({c.out}, 4);
    conv.variance = random_tensor({c.out}, 5).abs() + 0.1;
    const at::Tensor x = random_tensor({1, c.in, c.size, c.size}, 6);
    EXPECT_TENSORS_CLOSE(conv(x), naive_conv_norm(conv, x));
  }
}

TEST(EfficientNet, GivesFortyNineTokens) {
  VisionTower tower(efficientnet_lite0_config());
  tower.visit("t", [](const std::string& name, at::Tensor& tensor) {
    tensor.fill_(name.ends_with("running_var") ? 1.0 : 0.01);
  });
  const at::Tensor features = tower.features(random_tensor({2, 3, 224, 224}, 1));
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{2, 49, 1280}));
  EXPECT_FALSE(features.requires_grad());
}

}  // namespace
}  // namespace moellava
