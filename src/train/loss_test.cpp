#include "train/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

at::Tensor numbers(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

TEST(Loss, TargetRowsAreShiftedByOneAndStayInsideTheirSample) {
  constexpr int64_t x = kIgnoreLabel;
  const at::Tensor labels = numbers({x, x, 5, 6, /**/ 9, x, 7, x}).view({2, 4});
  const TargetRows targets = target_rows(labels);
  EXPECT_TRUE(targets.rows.equal(numbers({1, 2, 5})));
  EXPECT_TRUE(targets.labels.equal(numbers({5, 6, 7})));
}

TEST(Loss, EqualsTheNaiveMeanOverAllPositions) {
  const auto model = testing::tiny_model(/*sparse=*/false);
  at::Tensor hidden = at::empty({2, 5, 16});
  fill_uniform(hidden, 2.0, 1, 1);
  const at::Tensor labels = numbers({-100, 3, -100, 200, 17, -100, -100, 256, 0, -100}).view({2, 5});
  const at::Tensor logits = model->decoder().logits(hidden).to(at::kDouble);
  double sum = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t t = 0; t + 1 < 5; ++t) {
      const auto label = labels[b][t + 1].item<int64_t>();
      if (label == kIgnoreLabel) continue;
      sum += std::log(logits[b][t].exp().sum().item<double>()) - logits[b][t][label].item<double>();
      ++count;
    }
  }
  ASSERT_EQ(count, 5);
  const at::Tensor loss = cross_entropy(model->decoder(), hidden, target_rows(labels));
  EXPECT_NEAR(loss.item<double>(), sum / static_cast<double>(count), 1e-5);
}

}  // namespace
}  // namespace moellava
