#include "routing/statistics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moellava {
namespace {

using testing::HasSubstr;

// Layer 4 of a model with 2 experts, top 1. Text: 3 of 4 tokens to expert 1; image: all 4 to expert 2, one
// dropped.
RoutingTrace hand_made_trace() {
  MoeConfig moe;
  moe.layers = {4};
  moe.experts = {2};
  moe.top_k = 1;
  Routing routing;
  routing.expert = at::tensor({0, 0, 0, 1, 1, 1, 1, 1}, at::kLong).view({8, 1});
  routing.slot = at::tensor({0, 1, 2, 0, 1, 2, 3, -1}, at::kLong).view({8, 1});
  routing.logits = at::zeros({8, 2});  // undecided: one bit
  RoutingTrace trace(moe);
  trace.add(std::vector<Routing>{routing}, {false, false, false, false, true, true, true, true});
  return trace;
}

TEST(RoutingStatistics, SharesOfAHandMadeTrace) {
  const RoutingStatistics statistics = routing_statistics(hand_made_trace());
  ASSERT_EQ(statistics.layers.size(), 1U);
  const LayerLoad& load = statistics.layers[0];
  EXPECT_EQ(load.layer, 5);
  EXPECT_EQ(statistics.experts, 2);
  EXPECT_EQ(statistics.passes, 1);
  EXPECT_THAT(load.text.first, testing::ElementsAre(0.75, 0.25));
  EXPECT_THAT(load.image.first, testing::ElementsAre(0.0, 1.0));
  EXPECT_THAT(load.all.first, testing::ElementsAre(0.375, 0.625));
  EXPECT_DOUBLE_EQ(load.text_image_distance, 0.75);
  EXPECT_DOUBLE_EQ(load.all.entropy_bits, 1.0);
  EXPECT_DOUBLE_EQ(load.image.dropped, 0.25);
  EXPECT_DOUBLE_EQ(load.all.dropped, 0.125);
  EXPECT_DOUBLE_EQ(load.text.dropped, 0.0);
}

TEST(RoutingStatistics, CsvHasOneRowEach) {
  const std::string csv = routing_csv(routing_statistics(hand_made_trace()));
  EXPECT_EQ(csv,
            "layer,tokens,expert,first_choice_share,choice_share\n"
            "5,all,1,0.375000,0.375000\n5,all,2,0.625000,0.625000\n"
            "5,text,1,0.750000,0.750000\n5,text,2,0.250000,0.250000\n"
            "5,image,1,0.000000,0.000000\n5,image,2,1.000000,1.000000\n");
}

TEST(RoutingStatistics, BarsAreAsWideAsAsked) {
  const std::string bars = routing_bars(routing_statistics(hand_made_trace()), 8);
  EXPECT_THAT(bars, HasSubstr("    5  11122222  11111122  22222222     1.00   12.5 %\n"));
}

TEST(RoutingStatistics, JsonCarriesEveryNumber) {
  const Json json = routing_json(routing_statistics(hand_made_trace()));
  EXPECT_EQ(json["prompts"], 1);
  EXPECT_EQ(json["layers"][0]["layer"], 5);
  EXPECT_EQ(json["layers"][0]["image"]["tokens"], 4);
  EXPECT_EQ(json["layers"][0]["image"]["dropped_share"], 0.25);
  EXPECT_EQ(json["layers"][0]["text"]["choice_share"], Json({0.75, 0.25}));
}

TEST(RoutingStatistics, WithoutPicturesThereAreNoImageShares) {
  MoeConfig moe;
  moe.layers = {0};
  moe.experts = {2};
  moe.top_k = 1;
  const RoutingStatistics statistics = routing_statistics(RoutingTrace(moe));
  EXPECT_THAT(statistics.layers[0].image.first, testing::ElementsAre(0.0, 0.0));
  EXPECT_EQ(statistics.layers[0].text_image_distance, 0.0);
  EXPECT_THAT(routing_bars(statistics, 4), HasSubstr("    1  ----  ----  ----"));
}

}  // namespace
}  // namespace moellava
