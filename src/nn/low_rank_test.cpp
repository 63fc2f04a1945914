#include "nn/low_rank.hpp"

#include <cmath>

#include "nn/linear.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

Linear adapted_linear() {
  Linear linear;
  linear.weight = random_tensor({5, 4}, 1, at::kDouble);
  linear.bias = random_tensor({5}, 2, at::kDouble);
  linear.low_rank = LowRank{
      .a = random_tensor({3, 4}, 3, at::kDouble), .b = random_tensor({5, 3}, 4, at::kDouble), .scale = 0.5};
  return linear;
}

TEST(LowRank, EqualsTheFormulaElementByElement) {
  const Linear linear = adapted_linear();
  const at::Tensor x = random_tensor({2, 4}, 5, at::kDouble);
  const at::Tensor y = linear(x);
  const auto at = [](const at::Tensor& tensor, int64_t i, int64_t j) { return tensor[i][j].item<double>(); };
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t out = 0; out < 5; ++out) {
      double expected = linear.bias[out].item<double>();
      for (int64_t in = 0; in < 4; ++in) {
        double weight = at(linear.weight, out, in);
        for (int64_t r = 0; r < 3; ++r)
          weight += 0.5 * at(linear.low_rank->b, out, r) * at(linear.low_rank->a, r, in);
        expected += weight * at(x, row, in);
      }
      EXPECT_NEAR(at(y, row, out), expected, 1e-12);
    }
  }
}

TEST(LowRank, Gradient) {
  for (const double dropped : {0.0, 0.4}) {
    const auto dropout = std::make_shared<Dropout>();
    dropout->probability = dropped;
    Linear linear = adapted_linear();
    linear.low_rank->dropout = dropout;
    const at::Tensor x = random_tensor({3, 4}, 6, at::kDouble);
    expect_gradient_matches([&] { return linear(x).square().sum(); },
                            {x, linear.low_rank->a, linear.low_rank->b});
  }
}

TEST(LowRank, ItsProductIsWhatMergingAdds) {
  Linear linear;
  linear.weight = random_tensor({5, 4}, 1);
  linear.low_rank = LowRank{.a = random_tensor({3, 4}, 3), .b = random_tensor({5, 3}, 4), .scale = 2};
  const at::Tensor x = random_tensor({7, 4}, 5);
  EXPECT_TENSORS_CLOSE(linear(x), at::linear(x, linear.weight + linear.low_rank->product()));
}

TEST(LowRank, IsVisitedAsPeftNamesIt) {
  Linear linear = adapted_linear();
  std::vector<std::string> names;
  const ParameterVisitor note = [&](const std::string& name, at::Tensor&) { names.push_back(name); };
  linear.visit("up", note);
  EXPECT_EQ(names,
            (std::vector<std::string>{"up.weight", "up.bias", "up.lora_A.weight", "up.lora_B.weight"}));
  linear.low_rank->shares_a = true;
  names.clear();
  linear.visit("up", note);
  EXPECT_EQ(names, (std::vector<std::string>{"up.weight", "up.bias", "up.lora_B.weight"}));
  EXPECT_TRUE(is_low_rank_parameter("up.lora_A.weight"));
  EXPECT_FALSE(is_low_rank_parameter("lora.weight"));
}

}  // namespace
}  // namespace moellava
