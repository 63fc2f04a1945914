#include "train/adamw.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/linear.hpp"

namespace moellava {
namespace {

constexpr int64_t kSteps = 6;

at::Tensor uniform(at::IntArrayRef shape, uint64_t stream) {
  at::Tensor tensor = at::empty(shape);
  fill_uniform(tensor, 1.0, 5, stream);
  return tensor;
}

// The rate changes so that a wrong use of it shows.
double rate(int64_t step) {
  return 1e-2 / static_cast<double>(step + 1);
}

at::Tensor gradient(const at::Tensor& like, int64_t step) {
  // Some zeros, as experts without tokens have.
  const at::Tensor g = uniform(like.sizes(), static_cast<uint64_t>(100 + step));
  return g * (g > -0.5);
}

at::Tensor trained(const at::Tensor& start, const AdamWOptions& options) {
  const at::Tensor parameter = start.clone();
  AdamW adamw({{"p", parameter}}, options);
  for (int64_t step = 0; step < kSteps; ++step) {
    parameter.mutable_grad() = gradient(parameter, step);
    adamw.step(rate(step));
  }
  return parameter;
}

TEST(AdamW, FollowsTheTextbookFormula) {
  const at::Tensor start = uniform({3, 7}, 1);
  const AdamWOptions options{.weight_decay = 0.1};
  const at::Tensor result = trained(start, options);
  for (int64_t i = 0; i < start.numel(); ++i) {
    double p = start.flatten()[i].item<double>(), m = 0, v = 0;
    for (int64_t step = 0; step < kSteps; ++step) {
      const auto g = gradient(start, step).flatten()[i].item<double>();
      const auto t = static_cast<double>(step + 1);
      p -= rate(step) * options.weight_decay * p;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      p -= rate(step) * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    }
    EXPECT_NEAR(result.flatten()[i].item<double>(), p, 2e-7) << i;
  }
}

TEST(AdamW, EqualsTheLibrarysOperations) {
  const at::Tensor start = uniform({1000, 37}, 2);
  const AdamWOptions options{.weight_decay = 0.05};
  const at::Tensor result = trained(start, options);
  at::Tensor p = start.clone(), m = at::zeros_like(start), v = at::zeros_like(start);
  for (int64_t step = 0; step < kSteps; ++step) {
    const at::Tensor g = gradient(start, step);
    const auto t = static_cast<double>(step + 1);
    p.mul_(1 - rate(step) * options.weight_decay);
    m.lerp_(g, 0.1);
    v.mul_(0.999).addcmul_(g, g, 0.001);
    const at::Tensor denominator = (v.sqrt() / std::sqrt(1 - std::pow(0.999, t))).add_(1e-8);
    p.addcdiv_(m, denominator, -rate(step) / (1 - std::pow(0.9, t)));
  }
  EXPECT_LE((result - p).abs().max().item<double>(), 3e-7);
}

TEST(AdamW, AnyNumberOfThreadsGivesTheSameBits) {
  const at::Tensor start = uniform({513, 257}, 3);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = trained(start, {});
  at::set_num_threads(2);
  const at::Tensor two = trained(start, {});
  at::set_num_threads(threads);
  EXPECT_TRUE(one.equal(two));
}

TEST(AdamW, VectorsDoNotDecayAndAMissingGradientCountsAsZero) {
  const at::Tensor matrix = at::ones({2, 2});
  const at::Tensor vector = at::ones({2});
  AdamW adamw({{"matrix", matrix}, {"vector", vector}}, {.weight_decay = 0.5});
  adamw.step(0.1);
  EXPECT_TRUE(matrix.allclose(at::full({2, 2}, 0.95)));
  EXPECT_TRUE(vector.equal(at::ones({2})));
  // Momentum goes on when the gradient stops.
  vector.mutable_grad() = at::ones({2});
  adamw.step(0.1);
  adamw.clear_gradients();
  EXPECT_FALSE(vector.grad().defined());
  const at::Tensor before = vector.clone();
  adamw.step(0.1);
  EXPECT_FALSE(vector.equal(before));
}

TEST(AdamW, AParameterMayHaveARateOfItsOwn) {
  const at::Tensor slow = at::ones({2});
  const at::Tensor fast = at::ones({2});
  AdamW adamw({{"slow", slow}, {"fast", fast, 5}}, {});
  slow.mutable_grad() = at::ones({2});
  fast.mutable_grad() = at::ones({2});
  adamw.step(0.01);
  // The first step of Adam is the learning rate.
  EXPECT_TRUE(slow.allclose(at::full({2}, 0.99)));
  EXPECT_TRUE(fast.allclose(at::full({2}, 0.95)));
}

TEST(GradientNorm, IsTheNormOfAllGradientsAndNamesTheFirstThatIsNotFinite) {
  std::vector<NamedParameter> parameters = {
      {"a", at::zeros({1})}, {"b", at::zeros({1})}, {"c", at::zeros({1})}};
  const auto norm = [&] { return join_norms({"a", "b", "c"}, gradient_norms(parameters)); };
  parameters[0].tensor.mutable_grad() = at::full({1}, 3.0);
  parameters[1].tensor.mutable_grad() = at::full({1}, 4.0);
  EXPECT_DOUBLE_EQ(norm().norm, 5);
  EXPECT_EQ(norm().not_finite, "");
  clip_gradients(parameters, 5, 1);
  EXPECT_NEAR(norm().norm, 1, 1e-6);
  clip_gradients(parameters, 1, 2);
  EXPECT_NEAR(norm().norm, 1, 1e-6);
  parameters[1].tensor.mutable_grad()[0] = NAN;
  EXPECT_EQ(norm().not_finite, "b");
}

}  // namespace
}  // namespace moellava
