#include "nn/recompute.hpp"

#include <ATen/core/grad_mode.h>

#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

// Two outputs, of which the first depends on x and a weight, the second on x alone.
struct Part {
  at::Tensor weight = random_tensor({4, 4}, 1);
  int first = 0, again = 0;  // calls

  std::vector<at::Tensor> operator()(const at::Tensor& x, bool once_more) {
    ++(once_more ? again : first);
    return {at::tanh(at::mm(x, weight)), x.square().sum()};
  }
};

struct Gradients {
  std::vector<at::Tensor> outputs;
  at::Tensor of_x, of_weight;
};
Gradients gradients(Part& part, bool recompute, bool x_learns) {
  part.weight = part.weight.detach().requires_grad_(true);
  const at::Tensor leaf = random_tensor({3, 4}, 2).requires_grad_(x_learns);
  const at::Tensor x = leaf * 2;
  Gradients result;
  result.outputs = recompute ? recomputed(std::ref(part), x) : part(x, false);
  at::Tensor loss = result.outputs[0].sum();
  if (x_learns) loss = loss + 3 * result.outputs[1];
  torch::autograd::backward({loss}, {});
  result.of_x = leaf.grad();
  result.of_weight = part.weight.grad();
  return result;
}

TEST(Recompute, GivesTheGradientsOfThePartItselfBitForBit) {
  for (bool x_learns : {true, false}) {
    Part plain, part;
    const Gradients expected = gradients(plain, /*recompute=*/false, x_learns);
    const Gradients found = gradients(part, /*recompute=*/true, x_learns);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(found.outputs[i].equal(expected.outputs[i]));
      EXPECT_EQ(found.outputs[i].requires_grad(), expected.outputs[i].requires_grad());
    }
    EXPECT_TRUE(found.of_weight.equal(expected.of_weight));
    EXPECT_EQ(found.of_x.defined(), x_learns);
    if (x_learns) {
      EXPECT_TRUE(found.of_x.equal(expected.of_x));
    }
    EXPECT_EQ(part.first, 1);
    EXPECT_EQ(part.again, 1);
  }
}

TEST(Recompute, WhatLearnsNothingHasNoGraph) {
  Part part;
  const at::Tensor x = random_tensor({3, 4}, 2);
  for (const at::Tensor& output : recomputed(std::ref(part), x)) EXPECT_FALSE(output.requires_grad());
  part.weight.requires_grad_(true);
  const at::NoGradGuard no_grad;
  for (const at::Tensor& output : recomputed(std::ref(part), x)) EXPECT_FALSE(output.requires_grad());
  EXPECT_EQ(part.first, 2);
  EXPECT_EQ(part.again, 0);
}

// What the part computes on its way is free as soon as it is done.
TEST(Recompute, KeepsNoIntermediateResult) {
  const at::Tensor x = random_tensor({3, 4}, 2).requires_grad_(true);
  c10::weak_intrusive_ptr<c10::TensorImpl> between(c10::intrusive_ptr<c10::TensorImpl>{});
  const std::vector<at::Tensor> outputs = recomputed(
      [&](const at::Tensor& input, bool) -> std::vector<at::Tensor> {
        const at::Tensor inner = at::exp(input);  // exp's backward pass needs it
        between = c10::weak_intrusive_ptr<c10::TensorImpl>(inner.getIntrusivePtr());
        return {inner * inner};
      },
      x);
  EXPECT_TRUE(between.expired());
  torch::autograd::backward({outputs[0].sum()}, {});
  EXPECT_TENSORS_CLOSE(x.grad(), 2 * at::exp(2 * x.detach()));
}

}  // namespace
}  // namespace moellava
