#include "nn/precision.hpp"

#include <torch/csrc/autograd/autograd.h>

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
