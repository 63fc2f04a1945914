#include "routing/patch_grid.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

void expect_grid(size_t tokens, size_t columns, size_t rows, int first) {
  const PatchGrid grid = patch_grid(tokens);
  EXPECT_EQ(grid.columns, columns) << tokens;
  EXPECT_EQ(grid.rows, rows) << tokens;
  EXPECT_EQ(grid.first, first) << tokens;
}

TEST(PatchGrid, OfTheTowersThatThereAre) {
  expect_grid(576, 24, 24, 0);   // CLIP-L/14 at 336
  expect_grid(256, 16, 16, 0);   // at 224
  expect_grid(49, 7, 7, 0);      // EfficientNet-Lite0
  expect_grid(144, 12, 12, 0);   // 576, pooled
  expect_grid(728, 27, 27, 1);   // SigLIP so400m at 384, less its first patch
  expect_grid(577, 24, 24, -1);  // cls_patch
}

TEST(PatchGrid, OfOthers) {
  expect_grid(0, 0, 0, 0);
  expect_grid(1, 1, 1, 0);
  expect_grid(2, 2, 1, 0);
  expect_grid(3, 2, 2, 1);
  expect_grid(32, 6, 6, 0);  // a Q-Former's queries
}

TEST(PatchGrid, EveryTokenHasACellOfItsOwn) {
  for (size_t tokens = 1; tokens <= 800; ++tokens) {
    const PatchGrid grid = patch_grid(tokens);
    size_t next = grid.first > 0 ? 1 : 0;
    for (size_t token = 0; token < tokens; ++token) {
      const std::optional<size_t> cell = grid.cell(token);
      if (!cell) {
        EXPECT_EQ(token, 0U);
        continue;
      }
      EXPECT_EQ(*cell, next++) << tokens;
      EXPECT_LT(*cell, grid.columns * grid.rows) << tokens;
    }
  }
}

}  // namespace
}  // namespace moellava
