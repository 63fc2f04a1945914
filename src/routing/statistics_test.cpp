#include "routing/statistics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;
using testing::random_trace;

// Layer 5 of a model with 2 experts, top 1. Text: 3 of 4 tokens to expert 1; image: all 4 to expert 2, one
// dropped.
RoutingTrace hand_made_trace() {
  RoutingTrace trace = testing::empty_trace(1, 2, 1);
  trace.model.layers = {4};
  testing::add_sample(trace, "q", "pope", "presence", 1);
  for (int t = 0; t < 4; ++t) testing::add_token(trace, {.id = t}, {static_cast<int16_t>(t == 3)});
  for (int t = 0; t < 4; ++t) testing::add_token(trace, {.id = -200, .picture = 0, .patch = t}, {1}, t == 3);
  return trace;
}

TEST(RoutingStatistics, SharesOfAHandMadeTrace) {
  const RoutingStatistics statistics = routing_statistics(hand_made_trace());
  ASSERT_EQ(statistics.layers.size(), 1U);
  const LayerLoad& load = statistics.layers[0];
  EXPECT_EQ(load.layer, 5);
  EXPECT_EQ(statistics.experts, 2);
  EXPECT_EQ(statistics.samples, 1);
  EXPECT_EQ(statistics.tokens, 8);
  EXPECT_THAT(load.text.first, ElementsAre(0.75, 0.25));
  EXPECT_THAT(load.image.first, ElementsAre(0.0, 1.0));
  EXPECT_THAT(load.all.first, ElementsAre(0.375, 0.625));
  EXPECT_THAT(load.image_share, ElementsAre(0.0, 0.8));  // expert 2: 1 of image against 0.25 of text
  EXPECT_DOUBLE_EQ(load.text_image_distance, 0.75);
  EXPECT_DOUBLE_EQ(load.all.entropy_bits, 1.0);
  EXPECT_DOUBLE_EQ(load.image.dropped, 0.25);
  EXPECT_DOUBLE_EQ(load.all.dropped, 0.125);
  EXPECT_DOUBLE_EQ(load.text.dropped, 0.0);
  EXPECT_DOUBLE_EQ(load.all.balance_loss, 1.0);  // undecided routers, whatever they choose
}

TEST(RoutingStatistics, BalanceLossOfRoutersThatAreSure) {
  RoutingTrace trace = testing::empty_trace(1, 2, 1);
  testing::add_sample(trace, "q", "", "");
  for (int t = 0; t < 4; ++t) testing::add_token(trace, {.id = t}, {static_cast<int16_t>(t == 0)});
  for (size_t t = 0; t < 4; ++t) {
    trace.probabilities[2 * t] = t == 0 ? 0.0F : 1.0F;
    trace.probabilities[2 * t + 1] = t == 0 ? 1.0F : 0.0F;
  }
  const GroupLoad load = routing_statistics(trace).layers[0].all;
  EXPECT_DOUBLE_EQ(load.balance_loss, 2 * (0.75 * 0.75 + 0.25 * 0.25));
  EXPECT_DOUBLE_EQ(load.entropy_bits, 0);
}

TEST(RoutingStatistics, WithoutPicturesThereAreNoImageShares) {
  const RoutingStatistics statistics = routing_statistics(testing::empty_trace(1, 2, 1));
  EXPECT_THAT(statistics.layers[0].image.first, ElementsAre(0.0, 0.0));
  EXPECT_EQ(statistics.layers[0].text_image_distance, 0.0);
  EXPECT_THAT(statistics.layers[0].image_share, ElementsAre(0.5, 0.5));
}

// Everything again token by token, for one group that is told by `belongs`.
void expect_naive(const RoutingTrace& trace, const std::vector<GroupLoad>& loads,
                  const std::function<bool(size_t sample, size_t position, const TracedToken&)>& belongs) {
  for (size_t l = 0; l < trace.layers(); ++l) {
    std::map<size_t, double> first, chosen, mean;
    double tokens = 0, dropped = 0, entropy = 0;
    size_t t = 0;
    for (size_t s = 0; s < trace.samples.size(); ++s) {
      for (size_t i = 0; i < trace.samples[s].tokens; ++i, ++t) {
        if (!belongs(s, i, trace.tokens[t])) continue;
        tokens += 1;
        for (size_t k = 0; k < trace.top_k(); ++k) {
          const TracedChoice& choice = trace.choices[(t * trace.layers() + l) * trace.top_k() + k];
          if (k == 0) first[static_cast<size_t>(choice.expert)] += 1;
          chosen[static_cast<size_t>(choice.expert)] += 1;
          dropped += choice.dropped ? 1 : 0;
        }
        for (size_t e = 0; e < static_cast<size_t>(trace.model.experts[l]); ++e) {
          const double p = trace.probability(t, l)[e];
          mean[e] += p;
          entropy -= p * std::log(p) / std::log(2.0);
        }
      }
    }
    ASSERT_GT(tokens, 0);
    const GroupLoad& load = loads[l];
    EXPECT_EQ(static_cast<double>(load.tokens), tokens);
    EXPECT_NEAR(load.entropy_bits, entropy / tokens, 1e-9);
    EXPECT_NEAR(load.dropped, dropped / tokens / static_cast<double>(trace.top_k()), 1e-9);
    double balance = 0;
    for (size_t e = 0; e < load.first.size(); ++e) {
      EXPECT_NEAR(load.first[e], first[e] / tokens, 1e-9);
      EXPECT_NEAR(load.chosen[e], chosen[e] / tokens / static_cast<double>(trace.top_k()), 1e-9);
      balance += mean[e] / tokens * first[e] / tokens;
    }
    EXPECT_NEAR(load.balance_loss, balance * static_cast<double>(load.first.size()), 1e-9);
  }
}

TEST(RoutingStatistics, LoadsAgreeWithANaiveCount) {
  const RoutingTrace trace = random_trace(3, 4, 2);
  const RoutingStatistics statistics = routing_statistics(trace);
  std::vector<GroupLoad> all, text, image;
  for (const LayerLoad& layer : statistics.layers) {
    all.push_back(layer.all);
    text.push_back(layer.text);
    image.push_back(layer.image);
  }
  expect_naive(trace, all, [](size_t, size_t, const TracedToken&) { return true; });
  expect_naive(trace, text, [](size_t, size_t, const TracedToken& t) { return t.id >= 0; });
  expect_naive(trace, image, [](size_t, size_t, const TracedToken& t) { return t.id < 0; });
}

TEST(RoutingStatistics, GroupsAgreeWithANaiveCount) {
  const RoutingTrace trace = random_trace(2, 5, 2);
  const RoutingStatistics statistics = routing_statistics(trace);
  ASSERT_EQ(statistics.sources.size(), 2U);
  for (const NamedLoad& group : statistics.sources) {
    expect_naive(trace, group.layers,
                 [&](size_t s, size_t, const TracedToken&) { return trace.samples[s].source == group.name; });
  }
  ASSERT_EQ(statistics.categories.size(), 4U);
  EXPECT_EQ(statistics.categories[0].name, "pope: count");
  for (const NamedLoad& group : statistics.categories) {
    expect_naive(trace, group.layers, [&](size_t s, size_t, const TracedToken&) {
      return trace.samples[s].source + ": " + trace.samples[s].category == group.name;
    });
  }
  int64_t tokens = 0;
  for (const NamedLoad& group : statistics.positions) {
    tokens += group.tokens;
    const size_t first = std::stoul(group.name);
    const size_t dash = group.name.find('-');
    const size_t last = dash == std::string::npos ? first : std::stoul(group.name.substr(dash + 1));
    expect_naive(trace, group.layers,
                 [&](size_t, size_t i, const TracedToken&) { return i >= first && i <= last; });
  }
  EXPECT_EQ(tokens, statistics.tokens);
}

TEST(RoutingStatistics, CoActivationAgreesWithANaiveCount) {
  const RoutingTrace trace = random_trace(2, 4, 3);
  const std::vector<CoActivation> found = co_activation(trace);
  for (size_t l = 0; l < 2; ++l) {
    for (int16_t a = 0; a < 4; ++a) {
      for (int16_t b = 0; b < 4; ++b) {
        double both = 0;
        for (size_t t = 0; t < trace.tokens.size(); ++t) {
          bool has_a = false, has_b = false;
          for (size_t k = 0; k < 3; ++k) {
            has_a |= trace.choice(t, l, k).expert == a;
            has_b |= trace.choice(t, l, k).expert == b;
          }
          both += has_a && has_b;
        }
        EXPECT_NEAR(found[l][static_cast<size_t>(a)][static_cast<size_t>(b)],
                    both / static_cast<double>(trace.tokens.size()), 1e-9);
      }
    }
  }
}

TEST(TokenGroups, PositionsAreCutIntoEqualRanges) {
  RoutingTrace trace = testing::empty_trace(1, 2, 1);
  testing::add_sample(trace, "long", "a", "");
  for (int t = 0; t < 7; ++t) testing::add_token(trace, {.id = t}, {0});
  testing::add_sample(trace, "short", "a", "");
  testing::add_token(trace, {.id = 1}, {0});
  const TokenGroups groups = by_position(trace, 3);
  EXPECT_THAT(groups.names, ElementsAre("0-2", "3-5", "6"));
  EXPECT_THAT(groups.of, ElementsAre(0, 0, 0, 1, 1, 1, 2, 0));
  EXPECT_THAT(by_category(trace).names, ElementsAre("a"));
}

}  // namespace
}  // namespace moellava
