#include "nn/feed_forward.hpp"

#include <cmath>

#include "nn/norm.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

double naive_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::Silu:
      return x / (1 + std::exp(-x));
    case Activation::Gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::GeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::QuickGelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return 0;
}

TEST(Activation, EqualsItsFormula) {
  for (Activation activation :
       {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu}) {
    EXPECT_EQ(activation_by_name(activation_name(activation), "test"), activation);
    for (double x : {-3.0, -0.5, 0.0, 0.7, 4.0}) {
      EXPECT_NEAR(activate(activation, at::scalar_tensor(x, at::kDouble)).item<double>(),
                  naive_activation(activation, x), 1e-12);
    }
  }
}

FeedForward make_feed_forward(bool gated) {
  FeedForward ffn({.width = 4, .inner = 6, .gated = gated, .bias = true, .activation = Activation::Silu});
  uint64_t stream = 10;
  ffn.visit("", [&](const std::string&, at::Tensor& tensor) {
    tensor = random_tensor(tensor.sizes(), ++stream, at::kDouble);
  });
  return ffn;
}

TEST(FeedForward, EqualsTheFormula) {
  const at::Tensor x = random_tensor({3, 4}, 1, at::kDouble);
  const FeedForward gated = make_feed_forward(true);
  const at::Tensor up = x.matmul(gated.up_proj.weight.t()) + gated.up_proj.bias;
  const at::Tensor gate = x.matmul(gated.gate_proj.weight.t()) + gated.gate_proj.bias;
  const at::Tensor inner = gate * at::sigmoid(gate) * up;
  EXPECT_TENSORS_CLOSE(gated(x), (inner.matmul(gated.down_proj.weight.t()) + gated.down_proj.bias));
}

TEST(FeedForward, Gradient) {
  for (bool gated : {true, false}) {
    FeedForward ffn = make_feed_forward(gated);
    const at::Tensor x = random_tensor({3, 4}, 1, at::kDouble);
    expect_gradient_matches([&] { return ffn(x).square().sum(); },
                            {x, ffn.up_proj.weight, ffn.down_proj.bias});
  }
}

TEST(Norm, EqualsTheFormula) {
  for (NormKind kind : {NormKind::Layer, NormKind::Rms}) {
    Norm norm(kind, 5, 1e-5);
    const at::Tensor x = random_tensor({2, 5}, 3);
    norm.weight = random_tensor({5}, 4);
    if (kind == NormKind::Layer) norm.bias = random_tensor({5}, 5);
    const at::Tensor y = norm(x);
    for (int64_t row = 0; row < 2; ++row) {
      const at::Tensor v = x[row].to(at::kDouble);
      const double mean = kind == NormKind::Layer ? v.mean().item<double>() : 0;
      const double scale = 1 / std::sqrt((v - mean).square().mean().item<double>() + 1e-5);
      at::Tensor expected = (v - mean) * scale * norm.weight.to(at::kDouble);
      if (norm.bias.defined()) expected = expected + norm.bias.to(at::kDouble);
      EXPECT_TENSORS_CLOSE(y[row], expected.to(at::kFloat));
    }
  }
}

}  // namespace
}  // namespace moellava
