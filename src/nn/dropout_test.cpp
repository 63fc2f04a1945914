#include "nn/dropout.hpp"

#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

TEST(Dropout, IsAFunctionOfKeyStreamAndPlace) {
  const at::Tensor x = at::ones({64, 33});
  const Dropout dropout{.probability = 0.25, .key = 7};
  const at::Tensor once = drop_values(x, dropout, 1);
  EXPECT_TRUE(drop_values(x, dropout, 1).equal(once));
  // More rows behind them change nothing.
  EXPECT_TRUE(drop_values(at::ones({100, 33}), dropout, 1).narrow(0, 0, 64).equal(once));
  EXPECT_FALSE(drop_values(x, dropout, 2).equal(once));
  EXPECT_FALSE(drop_values(x, {.probability = 0.25, .key = 8}, 1).equal(once));
}

TEST(Dropout, DropsItsShareAndKeepsTheMean) {
  const at::Tensor dropped = drop_values(at::ones({200, 500}), {.probability = 0.25, .key = 3}, 0);
  const at::Tensor none = dropped.eq(0);
  EXPECT_NEAR(none.to(at::kDouble).mean().item<double>(), 0.25, 0.005);
  EXPECT_TRUE(dropped.masked_select(none.logical_not()).eq(static_cast<float>(1 / 0.75)).all().item<bool>());
  EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.01);
}

TEST(Dropout, Gradient) {
  const at::Tensor x = random_tensor({5, 7}, 1, at::kDouble);
  const Dropout dropout{.probability = 0.4, .key = ~uint64_t{0}};
  expect_gradient_matches([&] { return drop_values(x, dropout, ~uint64_t{1}).square().sum(); }, {x});
}

TEST(Dropout, OfNothingIsTheTensorItself) {
  const at::Tensor x = random_tensor({5, 7}, 1);
  EXPECT_TRUE(drop_values(x, {}, 1).is_same(x));
}

}  // namespace
}  // namespace moellava
