#include "train/routing_counts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moellava {
namespace {

using testing::ElementsAre;

// Two samples of lengths 3 and 1 in a batch of 3 positions: text image text, text padding padding.
Spliced batch(PaddingSide side) {
  Spliced spliced;
  spliced.embeddings = at::zeros({2, 3, 1});
  spliced.lengths = {3, 1};
  spliced.padding = side;
  spliced.is_image = {{false, true, false}, {false}};
  return spliced;
}

std::vector<int64_t> values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<int64_t>(), tensor.const_data_ptr<int64_t>() + tensor.numel()};
}

TEST(RowKinds, KnowsTextImageAndPadding) {
  EXPECT_THAT(values(row_kinds(batch(PaddingSide::Right))), ElementsAre(0, 1, 0, 0, 2, 2));
  EXPECT_THAT(values(row_kinds(batch(PaddingSide::Left))), ElementsAre(0, 1, 0, 2, 2, 0));
}

TEST(CountRouting, SplitsByKindAndLeavesPaddingOut) {
  Routing routing;
  // Undecided between two experts of four in row 0, wholly undecided in row 1, decided elsewhere.
  routing.logits = at::full({6, 4}, -1e4);
  routing.logits[0].slice(0, 0, 2).fill_(0);
  routing.logits[1].fill_(0);
  for (int64_t row = 2; row < 6; ++row) routing.logits[row][3] = 0;
  routing.expert = at::tensor({0, 1, 2, 3, 3, 0, 3, 1, 3, 2, 3, 2}, at::kLong).view({6, 2});
  routing.slot = at::tensor({0, 0, 0, 0, -1, 1, -1, -1, -1, -1, -1, 2}, at::kLong).view({6, 2});
  std::vector<LayerLoads> loads;
  const at::Tensor kinds = row_kinds(batch(PaddingSide::Right));
  for (int pass = 1; pass <= 2; ++pass) {
    count_routing(std::vector<Routing>{routing}, kinds, loads);
    ASSERT_EQ(loads.size(), 1U);
    const ExpertLoad& text = loads[0].text;  // rows 0, 2 and 3
    EXPECT_EQ(text.tokens, 3 * pass);
    EXPECT_THAT(text.chosen, ElementsAre(2 * pass, 2 * pass, 0, 2 * pass));
    EXPECT_EQ(text.dropped, 3 * pass);
    EXPECT_NEAR(text.entropy, 1.0 * pass, 1e-9);
    const ExpertLoad& image = loads[0].image;
    EXPECT_EQ(image.tokens, pass);
    EXPECT_THAT(image.chosen, ElementsAre(0, 0, pass, pass));
    EXPECT_EQ(image.dropped, 0);
    EXPECT_NEAR(image.entropy, 2.0 * pass, 1e-9);
  }
  ExpertLoad sum = loads[0].text;
  sum += loads[0].image;
  EXPECT_EQ(sum.tokens, 8);
  EXPECT_THAT(sum.chosen, ElementsAre(4, 4, 2, 6));
}

}  // namespace
}  // namespace moellava
