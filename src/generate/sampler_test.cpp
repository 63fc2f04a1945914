#include "generate/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.hpp"

namespace moellava {
namespace {

// Shares of what is drawn over many counters.
std::vector<double> shares(const std::vector<float>& logits, const SamplingOptions& options) {
  constexpr int kDraws = 20000;
  std::vector<double> share(logits.size());
  for (uint64_t i = 0; i < kDraws; ++i)
    share[static_cast<size_t>(sample(logits, options, i))] += 1.0 / kDraws;
  return share;
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  double total = 0;
  for (float logit : logits) p.push_back(std::exp(logit / temperature)), total += p.back();
  for (double& value : p) value /= total;
  return p;
}

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f};

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(sample(std::vector<float>{0.f, 2.f, 2.f}, {}, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{-std::numeric_limits<float>::infinity(), -5.f}, {}, 7), 1);
}

TEST(Sampler, DrawsBySoftmaxAtAnyTemperature) {
  for (double temperature : {0.7, 1.0, 2.0}) {
    const auto expected = softmax(kLogits, temperature);
    const auto found = shares(kLogits, {.temperature = temperature, .seed = 5});
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 0.015) << i;
  }
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  const auto found = shares(kLogits, {.temperature = 1, .top_k = 2});
  EXPECT_EQ(found[0] + found[2] + found[3], 0);
  EXPECT_NEAR(found[1] / found[4], std::exp(0.5), 0.08);
}

TEST(Sampler, TopPKeepsTheSmallestSetWithThatMass) {
  // Probabilities in order: 0.45 (1), 0.28 (4), 0.17 (2), ...: 0.7 needs two.
  const auto found = shares(kLogits, {.temperature = 1, .top_p = 0.7});
  EXPECT_EQ(found[0] + found[2] + found[3], 0);
  EXPECT_GT(found[4], 0.2);
  EXPECT_EQ(sample(kLogits, {.temperature = 1, .top_p = 0}, 3), 1);
}

TEST(Sampler, DependsOnSeedAndCounterOnly) {
  const SamplingOptions options{.temperature = 1, .seed = 9};
  EXPECT_EQ(sample(kLogits, options, 4), sample(kLogits, options, 4));
  int differences = 0;
  for (uint64_t i = 0; i < 50; ++i)
    differences += sample(kLogits, options, i) != sample(kLogits, {.temperature = 1, .seed = 10}, i);
  EXPECT_GT(differences, 5);
}

TEST(Sampler, RefusesWhatIsNotANumber) {
  EXPECT_THROW(sample(std::vector<float>{0.f, std::nanf("")}, {}, 0), Error);
}

}  // namespace
}  // namespace moellava
