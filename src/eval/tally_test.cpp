#include "eval/tally.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

TEST(Tally, SumsCategoriesAndTheirMajorities) {
  const Scores scores = tally({{"b", "yes", 1}, {"a", "cat", 0}, {"b", "no", 0}, {"b", "no", 1}});
  ASSERT_EQ(scores.categories.size(), 2U);
  EXPECT_EQ(scores.categories[0].category, "a");
  EXPECT_EQ(scores.categories[1].majority_answer, "no");
  EXPECT_EQ(scores.categories[1].majority_correct, 2);
  EXPECT_EQ(scores.overall.questions, 4);
  EXPECT_EQ(scores.overall.correct, 2);
  EXPECT_EQ(scores.overall.majority_correct, 3);
}

TEST(Tally, HasNoMajorityWithoutOneTruth) {
  const Scores scores = tally({{"all", "", 0.3}, {"all", "", 1}});
  EXPECT_FALSE(scores.overall.majority_correct.has_value());
  EXPECT_DOUBLE_EQ(scores.overall.accuracy(), 0.65);
}

// Bounds computed in Python.
TEST(Tally, ConfidenceIsWilsons) {
  const auto expect_interval = [](double correct, int64_t questions, double low, double high) {
    const auto [found_low, found_high] = confidence_interval(correct, questions);
    EXPECT_NEAR(found_low, low, 1e-9) << correct << " of " << questions;
    EXPECT_NEAR(found_high, high, 1e-9) << correct << " of " << questions;
  };
  expect_interval(140, 200, 0.633209316273, 0.759252553176);
  expect_interval(0, 10, 0.000000000000, 0.277532799863);
  expect_interval(10, 10, 0.722467200137, 1.000000000000);
  expect_interval(1, 3, 0.061491944720, 0.792340399198);
  EXPECT_EQ(confidence_interval(0, 0), std::pair(0.0, 1.0));
}

}  // namespace
}  // namespace moellava
