#include "routing/trace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moellava {
namespace {

constexpr int64_t kTokens = 41;
constexpr int64_t kExperts = 4;
constexpr int64_t kChoices = 2;

MoeConfig two_layers() {
  MoeConfig moe;
  moe.layers = {0, 2};
  moe.experts = {kExperts, kExperts};
  moe.top_k = kChoices;
  return moe;
}

// Random logits through the real router, with a capacity that drops some.
Routing random_routing(uint64_t seed) {
  at::Tensor logits = at::empty({kTokens, kExperts});
  for (int64_t i = 0; i < logits.numel(); ++i)
    logits.view(-1)[i] = static_cast<float>(4 * random_unit(seed, 0, static_cast<uint64_t>(i)));
  return route(logits, {.top_k = kChoices, .capacity_factor = 0.8});
}

std::vector<bool> alternating_flags() {
  std::vector<bool> flags(kTokens);
  for (size_t t = 0; t < flags.size(); ++t) flags[t] = t % 3 != 0;
  return flags;
}

TEST(RoutingTrace, AgreesWithANaiveCount) {
  const std::vector<bool> is_image = alternating_flags();
  RoutingTrace trace(two_layers());
  const std::vector<std::vector<Routing>> passes = {{random_routing(1), random_routing(2)},
                                                    {random_routing(3), random_routing(4)}};
  for (const auto& pass : passes) trace.add(pass, is_image);
  EXPECT_EQ(trace.passes(), 2);

  int64_t dropped_at_all = 0;
  for (size_t layer = 0; layer < 2; ++layer) {
    for (bool image : {false, true}) {
      std::map<int64_t, int64_t> first;
      std::map<int64_t, int64_t> chosen;
      int64_t tokens = 0;
      int64_t dropped = 0;
      double entropy = 0;
      for (const auto& pass : passes) {
        const Routing& routing = pass[layer];
        for (int64_t t = 0; t < kTokens; ++t) {
          if (is_image[static_cast<size_t>(t)] != image) continue;
          ++tokens;
          ++first[routing.expert[t][0].item<int64_t>()];
          for (int64_t k = 0; k < kChoices; ++k) {
            ++chosen[routing.expert[t][k].item<int64_t>()];
            dropped += routing.weight[t][k].item<float>() == 0.0F;
          }
          double sum = 0;
          for (int64_t e = 0; e < kExperts; ++e) sum += std::exp(routing.logits[t][e].item<double>());
          for (int64_t e = 0; e < kExperts; ++e) {
            const double p = std::exp(routing.logits[t][e].item<double>()) / sum;
            entropy -= p * std::log2(p);
          }
        }
      }
      const ExpertCounts& counts = trace.layers()[layer].of(image ? Modality::Image : Modality::Text);
      EXPECT_EQ(counts.tokens, tokens);
      EXPECT_EQ(counts.dropped, dropped);
      EXPECT_NEAR(counts.entropy, entropy, 1e-6);
      for (int64_t e = 0; e < kExperts; ++e) {
        EXPECT_EQ(counts.first[static_cast<size_t>(e)], first[e]);
        EXPECT_EQ(counts.chosen[static_cast<size_t>(e)], chosen[e]);
      }
      dropped_at_all += dropped;
    }
  }
  EXPECT_GT(dropped_at_all, 0);  // else the test would not see drops
}

TEST(RoutingTrace, AllIsTextAndImageTogether) {
  RoutingTrace trace(two_layers());
  trace.add(std::vector<Routing>{random_routing(1), random_routing(2)}, alternating_flags());
  const LayerTrace& layer = trace.layers()[1];
  const ExpertCounts all = layer.all();
  EXPECT_EQ(layer.layer, 2);
  EXPECT_EQ(all.tokens, kTokens);
  int64_t first = 0;
  int64_t chosen = 0;
  for (size_t e = 0; e < kExperts; ++e) {
    EXPECT_EQ(all.first[e], layer.of(Modality::Text).first[e] + layer.of(Modality::Image).first[e]);
    first += all.first[e];
    chosen += all.chosen[e];
  }
  EXPECT_EQ(first, kTokens);
  EXPECT_EQ(chosen, kTokens * kChoices);
}

TEST(RoutingTrace, RefusesWhatIsNotOfTheModel) {
  RoutingTrace trace(two_layers());
  const std::vector<bool> flags = alternating_flags();
  EXPECT_THROW(trace.add(std::vector<Routing>{random_routing(1)}, flags), Error);
  EXPECT_THROW(trace.add(std::vector<Routing>{random_routing(1), random_routing(2)}, std::vector<bool>(7)),
               Error);
  Routing other = random_routing(2);
  other.logits = at::zeros({kTokens, kExperts + 1});
  EXPECT_THROW(trace.add(std::vector<Routing>{random_routing(1), other}, flags), Error);
  EXPECT_EQ(trace.layers()[0].all().tokens, 0);  // nothing half-counted
}

}  // namespace
}  // namespace moellava
