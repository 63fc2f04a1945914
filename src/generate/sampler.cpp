#include "generate/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moellava {

namespace {

constexpr uint64_t kSamplingStream = 0x73616d70;  // any fixed number: apart from other uses of the seed

struct Candidate {
  int32_t id;
  double probability;  // not normalised
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

double mass_of(const std::vector<Candidate>& candidates) {
  double mass = 0;
  for (const Candidate& candidate : candidates) mass += candidate.probability;
  return mass;
}

void keep_top_k(std::vector<Candidate>& candidates, size_t k) {
  if (k >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k), candidates.end(),
                   likelier);
  candidates.resize(k);
}

// The set is mostly small, so sorting goes only as far as it reaches.
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  const double wanted = p * mass_of(candidates);
  double mass = 0;
  size_t count = 0;
  for (size_t sorted = 0; count < candidates.size() && (count == 0 || mass < wanted); ++count) {
    if (count == sorted) {
      sorted = std::min(candidates.size(), sorted == 0 ? 64 : 4 * sorted);
      std::partial_sort(candidates.begin() + static_cast<std::ptrdiff_t>(count),
                        candidates.begin() + static_cast<std::ptrdiff_t>(sorted), candidates.end(), likelier);
    }
    mass += candidates[count].probability;
  }
  candidates.resize(count);
}

}  // namespace

int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t counter) {
  if (std::any_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); })) {
    throw bad_data("logits", "not a number", {.hint = "the weights may be damaged"});
  }
  const auto best = std::max_element(logits.begin(), logits.end());
  if (best == logits.end() || !std::isfinite(*best)) {
    throw bad_data("logits", "no finite largest one", {.hint = "the weights may be damaged"});
  }
  if (options.temperature <= 0) return static_cast<int32_t>(best - logits.begin());

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (float logit : logits) {
    candidates.push_back({static_cast<int32_t>(candidates.size()),
                          std::exp((static_cast<double>(logit) - *best) / options.temperature)});
  }
  if (options.top_k > 0) keep_top_k(candidates, static_cast<size_t>(options.top_k));
  if (options.top_p < 1) keep_top_p(candidates, options.top_p);
  // By id again: then the draw does not depend on the order in which the algorithms above leave a set.
  if (options.top_k > 0 || options.top_p < 1)
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });

  double rest = random_unit(options.seed, kSamplingStream, counter) * mass_of(candidates);
  const Candidate* drawn = nullptr;
  for (const Candidate& candidate : candidates) {
    if (candidate.probability == 0) continue;
    drawn = &candidate;
    rest -= candidate.probability;
    if (rest < 0) break;
  }
  return drawn->id;  // the likeliest one has probability 1, so there is one
}

}  // namespace moellava
