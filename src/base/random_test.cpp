#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace moellava {
namespace {

TEST(Random, DependsOnEachOfItsWords) {
  EXPECT_EQ(random_bits(1, 2, 3), random_bits(1, 2, 3));
  EXPECT_NE(random_bits(1, 2, 3), random_bits(0, 2, 3));
  EXPECT_NE(random_bits(1, 2, 3), random_bits(1, 0, 3));
  EXPECT_NE(random_bits(1, 2, 3), random_bits(1, 2, 0));
}

TEST(Random, UnitIsUniform) {
  constexpr int kTenth = 10'000;
  constexpr int kDraws = 10 * kTenth;
  int tenths[10] = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double value = random_unit(7, 0, i);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++tenths[static_cast<int>(value * 10)];
  }
  for (const int count : tenths) EXPECT_NEAR(count, kTenth, 500);  // five standard deviations
}

TEST(Random, PermutationHoldsEachNumberOnce) {
  const auto order = random_permutation(1000, 7, 1);
  EXPECT_EQ(order, random_permutation(1000, 7, 1));
  EXPECT_NE(order, random_permutation(1000, 7, 2));
  EXPECT_NE(order, random_permutation(1000, 8, 1));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], i);
  EXPECT_TRUE(random_permutation(0, 7, 1).empty());
}

}  // namespace
}  // namespace moellava
