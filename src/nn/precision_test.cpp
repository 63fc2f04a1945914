#include "nn/precision.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "nn/linear.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Precision, ProductsAreRoundedOnlyWhileAskedFor) {
  const at::Tensor x = random_tensor({128, 512}, 1), weight = random_tensor({256, 512}, 2);
  const at::Tensor exact = at::linear(x, weight);
  {
    const Bfloat16Products products(true);
    const double difference = largest_difference(at::linear(x, weight), exact);
    EXPECT_LT(difference, 0.02 * exact.abs().max().item<double>());
    if (has_bfloat16_products()) {
      EXPECT_GT(difference, 1e-5);
    } else {
      EXPECT_EQ(difference, 0);
    }
  }
  EXPECT_TRUE(at::linear(x, weight).equal(exact));
}

TEST(Precision, TheRoundedLinearRoundsItsFactorsAndSumsInFloat32) {
  const auto rounded = [](const at::Tensor& tensor) { return tensor.to(at::kBFloat16).to(at::kFloat); };
  const at::Tensor x = random_tensor({3, 40, 64}, 1).requires_grad_(true);
  const at::Tensor weight = random_tensor({16, 64}, 2).requires_grad_(true);
  const at::Tensor y = rounded_linear(x, weight);
  EXPECT_TENSORS_CLOSE(y.detach(), at::linear(rounded(x.detach()), rounded(weight.detach())));
  EXPECT_GT(largest_difference(y.detach(), at::linear(x.detach(), weight.detach())), 1e-4);

  const at::Tensor mix = random_tensor({3, 40, 16}, 3);
  torch::autograd::backward({(y * mix).sum()}, {});
  const at::Tensor gradient = rounded(mix.flatten(0, 1));  // [120, 16]
  EXPECT_TENSORS_CLOSE(x.grad().flatten(0, 1), gradient.mm(rounded(weight.detach())));
  EXPECT_TENSORS_CLOSE(weight.grad(), gradient.t().mm(rounded(x.detach().flatten(0, 1))));
}

TEST(Precision, LinearLayersRoundInTrainingOnly) {
  const at::Tensor x = random_tensor({40, 64}, 1), weight = random_tensor({16, 64}, 2);
  const at::Tensor exact = apply_linear(x, weight);
  const Bfloat16Products products(true);
  EXPECT_GT(largest_difference(apply_linear(x, weight), exact), 1e-4);
  if (!has_bfloat16_products()) {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(apply_linear(x, weight).equal(exact));
  }
}

TEST(Precision, TheExactLinearIsExactForwardAndBackward) {
  auto run = [&](bool bfloat16) {
    const at::Tensor x = random_tensor({128, 512}, 1).requires_grad_(true);
    const at::Tensor weight = random_tensor({4, 512}, 2).requires_grad_(true);
    const Bfloat16Products products(bfloat16);
    const at::Tensor y = exact_linear(x, weight);
    torch::autograd::backward({y.square().sum()}, {});
    return std::vector<at::Tensor>{y.detach(), x.grad(), weight.grad()};
  };
  const std::vector<at::Tensor> reference = run(false), same = run(true);
  for (size_t i = 0; i < reference.size(); ++i) EXPECT_TRUE(reference[i].equal(same[i])) << i;

  const at::Tensor x = random_tensor({128, 512}, 1), weight = random_tensor({4, 512}, 2);
  EXPECT_TENSORS_CLOSE(reference[0], at::linear(x, weight));
  EXPECT_TENSORS_CLOSE(reference[1], (2 * reference[0]).mm(weight));
  EXPECT_TENSORS_CLOSE(reference[2], (2 * reference[0]).t().mm(x));
}

}  // namespace
}  // namespace moellava
