#include "model/projector.hpp"

#include <cmath>
#include <map>

#include "base/error.hpp"
#include "model/projector_file.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

VisionConfig tower(int64_t width, int64_t grid) {
  VisionConfig vision;
  vision.hidden_size = width;
  vision.patch_size = 2;
  vision.image_size = 2 * grid;
  return vision;
}

// A projector filled at random, and its parameters by name.
Projector filled(const std::string& type, const VisionConfig& vision, int64_t width,
                 std::map<std::string, at::Tensor>& parameters) {
  Projector projector(type, vision, width);
  uint64_t stream = 0;
  projector.visit("p", [&](const std::string& name, at::Tensor& tensor) {
    tensor.copy_(random_tensor(tensor.sizes(), ++stream));
    parameters[name] = tensor;
  });
  return projector;
}

// The plain version: one value after the other, in double.
at::Tensor naive_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), x.size(1), weight.size(0)}, at::kDouble);
  for (int64_t m = 0; m < x.size(0); ++m) {
    for (int64_t n = 0; n < x.size(1); ++n) {
      for (int64_t o = 0; o < weight.size(0); ++o) {
        double sum = bias[o].item<double>();
        for (int64_t i = 0; i < weight.size(1); ++i)
          sum += x[m][n][i].item<double>() * weight[o][i].item<double>();
        y[m][n][o] = sum;
      }
    }
  }
  return y;
}

at::Tensor naive_gelu(const at::Tensor& x) {
  at::Tensor y = x.clone();
  for (int64_t i = 0; i < y.numel(); ++i) {
    const double value = x.view(-1)[i].item<double>();
    y.view(-1)[i] = value * 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
  }
  return y;
}

// The mean of every 2 x 2 cells of the square that the tokens form row by row.
at::Tensor naive_pool(const at::Tensor& x, int64_t grid) {
  at::Tensor y = at::zeros({x.size(0), x.size(1) / 4, x.size(2)}, at::kDouble);
  for (int64_t m = 0; m < x.size(0); ++m) {
    for (int64_t row = 0; row < grid; ++row) {
      for (int64_t column = 0; column < grid; ++column)
        y[m][row / 2 * (grid / 2) + column / 2] += x[m][row * grid + column].to(at::kDouble) / 4;
    }
  }
  return y;
}

TEST(Projector, IsLinearsWithGeluBetweenThem) {
  const at::Tensor x = random_tensor({2, 4, 5}, 90);
  std::map<std::string, at::Tensor> p;
  const Projector linear = filled("linear", tower(5, 2), 3, p);
  ASSERT_EQ(p.size(), 2u);
  EXPECT_TENSORS_CLOSE(linear(x), naive_linear(x, p["p.weight"], p["p.bias"]));
  p.clear();
  const Projector one = filled("mlp1x_gelu", tower(5, 2), 3, p);
  EXPECT_TENSORS_CLOSE(one(x), naive_linear(x, p.at("p.0.weight"), p.at("p.0.bias")));
  p.clear();
  const Projector three = filled("mlp3x_gelu", tower(5, 2), 3, p);
  ASSERT_EQ(p.size(), 6u);
  at::Tensor expected = naive_linear(x, p.at("p.0.weight"), p.at("p.0.bias"));
  for (const char* layer : {"p.2", "p.4"})
    expected = naive_linear(naive_gelu(expected), p.at(std::string(layer) + ".weight"),
                            p.at(std::string(layer) + ".bias"));
  EXPECT_TENSORS_CLOSE(three(x), expected);
}

TEST(Projector, PoolsSquaresOfFourTokens) {
  const at::Tensor x = random_tensor({2, 16, 5}, 91);
  std::map<std::string, at::Tensor> p;
  const Projector pooled = filled("pool_mlp2x_gelu", tower(5, 4), 3, p);
  const at::Tensor hidden =
      naive_gelu(naive_linear(naive_pool(x, 4), p.at("p.block.0.weight"), p.at("p.block.0.bias")));
  const at::Tensor expected = naive_linear(hidden, p.at("p.block.2.weight"), p.at("p.block.2.bias"));
  EXPECT_TENSORS_CLOSE(pooled(x), expected);
}

TEST(Projector, IdentityChangesNothing) {
  std::map<std::string, at::Tensor> none;
  const at::Tensor x = random_tensor({1, 4, 5}, 92);
  EXPECT_TRUE(filled("identity", tower(5, 2), 5, none)(x).equal(x));
  EXPECT_TRUE(none.empty());
}

TEST(Projector, CountsTheTokensThatTheDecoderGets) {
  ModelConfig config;
  EXPECT_EQ(image_tokens(config), 0);
  config.vision = VisionConfig();
  EXPECT_EQ(image_tokens(config), 576);
  config.projector = "pool_mlp2x_gelu";
  EXPECT_EQ(image_tokens(config), 144);
}

std::string refusal(const std::string& type, const VisionConfig& vision) {
  try {
    Projector(type, vision, 5);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::BadData);
    return error.what();
  }
  return "accepted";
}

TEST(Projector, RefusesWhatItCannotDoByName) {
  for (const char* type : {"simple_in2_out1", "qformer2_64", "cheap_mlp2x_gelu"}) {
    const std::string message = refusal(type, tower(5, 2));
    EXPECT_NE(message.find("projector not supported: found \"" + std::string(type) + "\""), std::string::npos)
        << message;
    EXPECT_NE(message.find("linear, mlpNx_gelu, pool_mlpNx_gelu"), std::string::npos) << message;
  }
  for (const char* type :
       {"", "mlp0x_gelu", "mlp10x_gelu", "mlpx_gelu", "pool_linear", "MLP2x_gelu", "pool_"}) {
    EXPECT_NE(refusal(type, tower(5, 2)).find("unknown projector"), std::string::npos) << type;
  }
  EXPECT_NE(refusal("identity", tower(6, 2)).find("equal widths: found 6"), std::string::npos);
  EXPECT_NE(refusal("pool_mlp2x_gelu", tower(5, 3)).find("found 9 tokens"), std::string::npos);
  VisionConfig with_class_token = tower(5, 4);
  with_class_token.select_class_token = true;
  EXPECT_NE(refusal("pool_mlp2x_gelu", with_class_token).find("found 17 tokens"), std::string::npos);
}

TEST(ProjectorFile, NamesShowTheType) {
  const auto type_of = [](std::vector<std::string> names) {
    TensorFile file;
    for (const std::string& name : names)
      file.tensors.push_back(
          {.name = "model.mm_projector.image_spatial_proj." + name, .shape = {}, .data = {}});
    return projector_type_of(file);
  };
  EXPECT_EQ(type_of({"weight", "bias"}), "linear");
  EXPECT_EQ(type_of({"0.weight", "0.bias"}), "mlp1x_gelu");
  EXPECT_EQ(type_of({"2.weight", "0.weight"}), "mlp2x_gelu");
  EXPECT_EQ(type_of({"block.0.weight", "block.2.weight", "block.4.bias"}), "pool_mlp3x_gelu");
  EXPECT_EQ(type_of({"16.weight"}), "mlp9x_gelu");
}

}  // namespace
}  // namespace moellava
