#include "generate/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moellava {

namespace {

constexpr uint64_t kSamplingStream = 0x73616d70;  // any fixed number: apart from other uses of the seed

}  // namespace

int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t counter) {
  if (std::any_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); })) {
    throw bad_data("logits", "not a number", {.hint = "the weights may be damaged"});
  }
  const auto best = std::max_element(logits.begin(), logits.end());
  if (options.temperature <= 0) return static_cast<int32_t>(best - logits.begin());

  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto by_logit = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  size_t kept = logits.size();
  if (options.top_k > 0) kept = std::min(kept, static_cast<size_t>(options.top_k));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(), by_logit);
  order.resize(kept);

  std::vector<double> probability;
  double total = 0;
  for (int32_t id : order) {
    probability.push_back(
        std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - *best) / options.temperature));
    total += probability.back();
  }
  if (options.top_p < 1) {
    double mass = 0;
    size_t count = 0;
    while (count < kept && mass < options.top_p * total) mass += probability[count++];
    probability.resize(std::max<size_t>(count, 1));
    total = std::accumulate(probability.begin(), probability.end(), 0.0);
  }
  double rest = random_unit(options.seed, kSamplingStream, counter) * total;
  for (size_t i = 0; i < probability.size(); ++i) {
    rest -= probability[i];
    if (rest < 0) return order[i];
  }
  return order[probability.size() - 1];
}

}  // namespace moellava
