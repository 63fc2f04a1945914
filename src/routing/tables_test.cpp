#include "routing/tables.hpp"

#include <gmock/gmock.h>

#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

// Layer 5 of a model with 2 experts, top 1: text goes to expert 1 but for one token in four, image to 2.
RoutingStatistics hand_made() {
  RoutingTrace trace = testing::empty_trace(1, 2, 1);
  trace.model.layers = {4};
  testing::add_sample(trace, "q", "own, \"data\"", "presence", 1);
  for (int t = 0; t < 4; ++t) testing::add_token(trace, {.id = t}, {static_cast<int16_t>(t == 3)});
  for (int t = 0; t < 4; ++t) testing::add_token(trace, {.id = -200, .picture = 0, .patch = t}, {1}, t == 3);
  return routing_statistics(trace);
}

TEST(LoadCsv, HasOneRowEach) {
  EXPECT_EQ(load_csv(hand_made()),
            "layer,tokens,expert,first_choice_share,choice_share\n"
            "5,all,1,0.375000,0.375000\n5,all,2,0.625000,0.625000\n"
            "5,text,1,0.750000,0.750000\n5,text,2,0.250000,0.250000\n"
            "5,image,1,0.000000,0.000000\n5,image,2,1.000000,1.000000\n");
}

TEST(GroupsCsv, QuotesNames) {
  const std::string csv = groups_csv(hand_made());
  EXPECT_THAT(csv, HasSubstr("kind,group,layer,expert,tokens,first_choice_share,choice_share\n"
                             "source,\"own, \"\"data\"\"\",5,1,8,0.375000,0.375000\n"));
  EXPECT_THAT(csv, HasSubstr("category,\"own, \"\"data\"\": presence\",5,2,8,0.625000,0.625000\n"));
  EXPECT_THAT(csv, HasSubstr("position,0,5,1,1,1.000000,1.000000\n"));
}

TEST(CoActivationCsv, HasEveryPair) {
  EXPECT_EQ(
      co_activation_csv(hand_made()),
      "layer,expert,other,token_share\n5,1,1,0.375000\n5,1,2,0.000000\n5,2,1,0.000000\n5,2,2,0.625000\n");
}

TEST(PathwaysCsv, HasComponentsAndPaths) {
  RoutingTrace trace = testing::empty_trace(2, 2, 1);
  testing::add_sample(trace, "", "", "");
  testing::add_token(trace, {.id = 1}, {0, 1});
  EXPECT_EQ(pathways_csv(routing_statistics(trace)),
            "tokens,kind,rank,layer,value\ntext,component,1,1,0.500000\ntext,component,1,3,-0.500000\n"
            "text,path,1,1,1\ntext,path,1,3,2\n");
}

TEST(RoutingBars, AreAsWideAsAsked) {
  EXPECT_THAT(routing_bars(hand_made(), 8),
              HasSubstr("    5  11122222  11111122  22222222     1.00   12.5 %\n"));
  const RoutingStatistics nothing = routing_statistics(testing::empty_trace(1, 2, 1));
  EXPECT_THAT(routing_bars(nothing, 4), HasSubstr("    1  ----  ----  ----"));
}

TEST(RoutingJson, CarriesEveryNumber) {
  const Json json = routing_json(hand_made());
  EXPECT_EQ(json["prompts"], 1);
  EXPECT_EQ(json["tokens"], 8);
  const Json& layer = json["layers"][0];
  EXPECT_EQ(layer["layer"], 5);
  EXPECT_EQ(layer["image"]["tokens"], 4);
  EXPECT_EQ(layer["image"]["dropped_share"], 0.25);
  EXPECT_EQ(layer["text"]["choice_share"], Json({0.75, 0.25}));
  EXPECT_EQ(layer["image_share_within_expert"], Json({0.0, 0.8}));
  EXPECT_EQ(layer["co_activation"], Json({{0.375, 0.0}, {0.0, 0.625}}));
  EXPECT_EQ(json["sources"][0]["layers"][0]["layer"], 5);
  EXPECT_EQ(json["positions"].size(), 8U);
  EXPECT_EQ(json["pathways"]["image"]["most_travelled"][0], Json({{"experts", {2}}, {"tokens", 4}}));
}

}  // namespace
}  // namespace moellava
