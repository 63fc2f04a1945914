#include "eval/paired.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moellava {
namespace {

std::map<std::string, double> by_number(const std::vector<double>& scores) {
  std::map<std::string, double> map;
  for (size_t i = 0; i < scores.size(); ++i) map[std::to_string(i)] = scores[i];
  return map;
}

// Sums of binomial coefficients, computed in Python with whole numbers.
TEST(Paired, McNemarIsExact) {
  EXPECT_NEAR(mcnemar_p(35, 28), 0.449962536290222, 1e-12);
  EXPECT_NEAR(mcnemar_p(0, 6), 0.03125, 1e-12);
  EXPECT_NEAR(mcnemar_p(10, 2), 0.03857421875, 1e-12);
  EXPECT_NEAR(mcnemar_p(400, 500), 0.000956444136918946, 1e-12);
  EXPECT_EQ(mcnemar_p(5, 5), 1);
  EXPECT_EQ(mcnemar_p(0, 0), 1);
}

TEST(Paired, CountsWhoIsRightAlone) {
  const std::optional<Paired> paired = compare_pairs(by_number({1, 1, 1, 0, 0}), by_number({1, 0, 0, 1, 0}));
  ASSERT_TRUE(paired.has_value());
  EXPECT_EQ(paired->questions, 5);
  EXPECT_EQ(paired->first_better, 2);
  EXPECT_EQ(paired->second_better, 1);
  EXPECT_DOUBLE_EQ(paired->difference, 20);
  EXPECT_LE(paired->low, 0);
  EXPECT_GE(paired->high, 60);
  EXPECT_EQ(paired->p, 1);
  EXPECT_EQ(paired->test, "McNemar, exact");
}

// Of the 128 ways to give these differences a sign, 16 have a sum as large: all listed in Python.
TEST(Paired, SharesAreTestedByPermutation) {
  const std::optional<Paired> paired =
      compare_pairs(by_number({0.3, 0.6, 0, 1, 0.9, 0.5, 0.6}), by_number({0, 0, 0.3, 0, 0, 0.5, 0.3}));
  ASSERT_TRUE(paired.has_value());
  EXPECT_EQ(paired->test, "permutation");
  EXPECT_NEAR(paired->p, 0.125, 0.01);
}

TEST(Paired, NeedsTheSameQuestions) {
  EXPECT_FALSE(compare_pairs(by_number({1, 0}), by_number({1})).has_value());
  EXPECT_FALSE(compare_pairs({{"a", 1.0}}, {{"b", 1.0}}).has_value());
  EXPECT_FALSE(compare_pairs({}, {}).has_value());
}

}  // namespace
}  // namespace moellava
