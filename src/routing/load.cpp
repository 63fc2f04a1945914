#include "routing/load.hpp"

#include <algorithm>
#include <cmath>

namespace moellava {

namespace {

struct Counts {
  int64_t tokens = 0;
  std::vector<int64_t> first;       // [E]
  std::vector<int64_t> chosen;      // [E]
  std::vector<double> probability;  // [E] sums
  int64_t dropped = 0;
  double entropy = 0;

  explicit Counts(int64_t experts)
      : first(static_cast<size_t>(experts)),
        chosen(static_cast<size_t>(experts)),
        probability(static_cast<size_t>(experts)) {}
};

void add_token(Counts& counts, const RoutingTrace& trace, size_t token, size_t layer) {
  ++counts.tokens;
  ++counts.first[static_cast<size_t>(trace.choice(token, layer).expert)];
  for (size_t k = 0; k < trace.top_k(); ++k) {
    const TracedChoice& choice = trace.choice(token, layer, k);
    ++counts.chosen[static_cast<size_t>(choice.expert)];
    counts.dropped += choice.dropped;
  }
  const float* probability = trace.probability(token, layer);
  for (size_t e = 0; e < counts.probability.size(); ++e) {
    const double p = probability[e];
    counts.probability[e] += p;
    if (p > 0) counts.entropy -= p * std::log2(p);
  }
}

std::vector<double> shares(const std::vector<int64_t>& counts, int64_t sum) {
  std::vector<double> parts(counts.size());
  for (size_t e = 0; sum > 0 && e < counts.size(); ++e)
    parts[e] = static_cast<double>(counts[e]) / static_cast<double>(sum);
  return parts;
}

GroupLoad load_of(const Counts& counts, int64_t top_k) {
  const auto tokens = static_cast<double>(std::max<int64_t>(counts.tokens, 1));
  GroupLoad load{.tokens = counts.tokens,
                 .first = shares(counts.first, counts.tokens),
                 .chosen = shares(counts.chosen, counts.tokens * top_k),
                 .entropy_bits = counts.entropy / tokens,
                 .dropped = static_cast<double>(counts.dropped) / (tokens * static_cast<double>(top_k))};
  for (size_t e = 0; e < load.first.size(); ++e)
    load.balance_loss += counts.probability[e] / tokens * load.first[e];
  load.balance_loss *= static_cast<double>(load.first.size());
  return load;
}

}  // namespace

std::vector<std::vector<GroupLoad>> loads_of(const RoutingTrace& trace, const TokenGroups& groups) {
  std::vector<std::vector<GroupLoad>> loads(groups.names.size());
  for (size_t layer = 0; layer < trace.layers(); ++layer) {
    std::vector<Counts> counts(groups.names.size(), Counts(trace.model.experts[layer]));
    for (size_t t = 0; t < trace.tokens.size(); ++t) add_token(counts[groups.of[t]], trace, t, layer);
    for (size_t g = 0; g < loads.size(); ++g) loads[g].push_back(load_of(counts[g], trace.model.top_k));
  }
  return loads;
}

double routing_distance(const GroupLoad& a, const GroupLoad& b) {
  if (a.tokens == 0 || b.tokens == 0) return 0;
  double sum = 0;
  for (size_t e = 0; e < a.first.size(); ++e) sum += std::abs(a.first[e] - b.first[e]);
  return sum / 2;
}

}  // namespace moellava
