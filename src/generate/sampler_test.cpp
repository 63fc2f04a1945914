#include "generate/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moellava {
namespace {

constexpr int kDraws = 20000;

// Shares of what is drawn over many counters.
std::vector<double> shares(const std::vector<float>& logits, const SamplingOptions& options) {
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

// What may be drawn, written down plainly: sort everything, cut at k, cut at the mass p of what is left.
std::vector<int32_t> naive_candidates(const std::vector<float>& logits, const SamplingOptions& options) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
  if (options.top_k > 0) ids.resize(std::min(ids.size(), static_cast<size_t>(options.top_k)));
  auto weight = [&](int32_t id) { return std::exp(double{logits[size_t(id)]} / options.temperature); };
  double total = 0;
  for (int32_t id : ids) total += weight(id);
  size_t count = 0;
  for (double mass = 0; count < ids.size() && (count == 0 || mass < options.top_p * total); ++count)
    mass += weight(ids[count]);
  ids.resize(count);
  return ids;
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

TEST(Sampler, DrawsFromThePlainCandidatesByTheirShares) {
  // Logits as flat as makes sets of every size, with ties.
  std::vector<float> logits(300);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(std::floor(random_unit(1, 2, i) * 40) / 10);
  for (int64_t top_k : {0, 1, 70, 299, 1000}) {
    for (double top_p : {0.0, 0.3, 0.9, 1.0}) {
      const SamplingOptions options{.temperature = 1.3, .top_p = top_p, .top_k = top_k, .seed = 3};
      const std::vector<int32_t> candidates = naive_candidates(logits, options);
      const std::vector<double> found = shares(logits, options);
      double total = 0, outside = 1, chi_square = 0;
      for (int32_t id : candidates) total += std::exp(logits[size_t(id)] / options.temperature);
      for (int32_t id : candidates) {
        const double expected = std::exp(logits[size_t(id)] / options.temperature) / total;
        outside -= found[size_t(id)];
        chi_square += std::pow(found[size_t(id)] - expected, 2) / expected * kDraws;
      }
      EXPECT_NEAR(outside, 0, 1e-9) << top_k << " " << top_p;
      // Mean n - 1, variance 2 (n - 1): five standard deviations.
      const double freedom = static_cast<double>(candidates.size()) - 1;
      EXPECT_LE(chi_square, freedom + 5 * std::sqrt(2 * freedom) + 1e-6) << top_k << " " << top_p;
    }
  }
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
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  EXPECT_THROW(sample(std::vector<float>{0.f, std::nanf("")}, {}, 0), Error);
  EXPECT_THROW(sample(std::vector<float>{0.f, kInfinite}, {.temperature = 1}, 0), Error);
  EXPECT_THROW(sample(std::vector<float>{-kInfinite, -kInfinite}, {.temperature = 1}, 0), Error);
  EXPECT_THROW(sample({}, {}, 0), Error);
}

TEST(Sampler, TheColdestTemperatureIsGreedy) {
  for (double temperature : {1e-3, 1e-300, std::numeric_limits<double>::denorm_min()})
    EXPECT_EQ(sample(kLogits, {.temperature = temperature}, 1), 1);
  EXPECT_EQ(
      sample(std::vector<float>{-std::numeric_limits<float>::infinity(), -5.f}, {.temperature = 1e300}, 7),
      1);
}

}  // namespace
}  // namespace moellava
