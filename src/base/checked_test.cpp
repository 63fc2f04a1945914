#include "base/checked.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace moellava {
namespace {

TEST(Checked, SumsAndProductsDoNotWrap) {
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_mul(1ull << 32, (1ull << 32) - 1), 0xffffffff00000000ull);
  EXPECT_EQ(checked_mul(1ull << 32, 1ull << 32), std::nullopt);
}

TEST(Checked, NumelOfShapes) {
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(checked_numel(Shape{}), 1u);
  EXPECT_EQ(checked_numel(Shape{2, 3, 4}), 24u);
  EXPECT_EQ(checked_numel(Shape{0, 5}), 0u);
  EXPECT_EQ(checked_numel(Shape{-1}), std::nullopt);
  EXPECT_EQ(checked_numel(Shape{INT64_MAX}), static_cast<uint64_t>(INT64_MAX));
  EXPECT_EQ(checked_numel(Shape{INT64_MAX, 2}), std::nullopt);
  EXPECT_EQ(checked_numel(Shape{4194305, 4194305, 211106198978564}), std::nullopt);
}

}  // namespace
}  // namespace moellava
