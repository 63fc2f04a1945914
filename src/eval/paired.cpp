#include "eval/paired.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "base/random.hpp"
#include "eval/bootstrap.hpp"

namespace moellava {

namespace {

constexpr uint64_t kSeed = 1;
constexpr int64_t kDraws = 10'000;

double permutation_p(const std::vector<double>& differences) {
  double found = 0;
  for (const double difference : differences) found += difference;
  // Sums of the same numbers in another order may differ in the last bits.
  const double least = std::abs(found) * (1 - 1e-12);
  int64_t as_large = 1;  // the one found counts
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i)
      sum += random_bits(kSeed, static_cast<uint64_t>(draw), i) >> 63 != 0 ? differences[i] : -differences[i];
    as_large += std::abs(sum) >= least ? 1 : 0;
  }
  return static_cast<double>(as_large) / (kDraws + 1);
}

}  // namespace

double mcnemar_p(int64_t a, int64_t b) {
  const int64_t total = a + b;
  const auto n = static_cast<double>(total);
  double tail = 0;
  for (int64_t i = 0; i <= std::min(a, b); ++i) {
    const auto k = static_cast<double>(i);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) - n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

std::optional<Paired> compare_pairs(const std::map<std::string, double>& first,
                                    const std::map<std::string, double>& second) {
  const bool same =
      !first.empty() && std::equal(first.begin(), first.end(), second.begin(), second.end(),
                                   [](const auto& a, const auto& b) { return a.first == b.first; });
  if (!same) return std::nullopt;
  Paired paired{.questions = std::ssize(first), .test = "McNemar, exact"};
  std::vector<double> differences;
  std::vector<Graded> graded;
  bool right_or_wrong = true;
  for (auto a = first.begin(), b = second.begin(); a != first.end(); ++a, ++b) {
    const double difference = a->second - b->second;
    paired.first_better += difference > 0 ? 1 : 0;
    paired.second_better += difference < 0 ? 1 : 0;
    differences.push_back(difference);
    graded.push_back({.category = "", .truth = "", .score = difference});
    for (const double score : {a->second, b->second})
      right_or_wrong = right_or_wrong && (score == 0 || score == 1);
  }
  const std::vector<int32_t> once(graded.size(), 1);
  paired.difference = mean_percent(graded, once);
  std::tie(paired.low, paired.high) = bootstrap_interval(graded, mean_percent);
  if (right_or_wrong) {
    paired.p = mcnemar_p(paired.first_better, paired.second_better);
  } else {
    paired.test = "permutation";
    paired.p = permutation_p(differences);
  }
  return paired;
}

}  // namespace moellava
