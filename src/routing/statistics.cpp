#include "routing/statistics.hpp"

namespace moellava {

namespace {

constexpr size_t kPositionBins = 12;

TokenGroups everything(const RoutingTrace& trace) {
  return {.names = {"all"}, .of = std::vector<size_t>(trace.tokens.size())};
}

std::vector<double> image_shares(const GroupLoad& text, const GroupLoad& image) {
  std::vector<double> shares;
  for (size_t e = 0; e < text.first.size(); ++e) {
    const double both = text.first[e] + image.first[e];
    shares.push_back(both > 0 ? image.first[e] / both : 0.5);
  }
  return shares;
}

std::vector<NamedLoad> named_loads(const RoutingTrace& trace, const TokenGroups& groups) {
  std::vector<std::vector<GroupLoad>> loads = loads_of(trace, groups);
  std::vector<NamedLoad> named;
  for (size_t g = 0; g < loads.size(); ++g) {
    const int64_t tokens = loads[g].empty() ? 0 : loads[g][0].tokens;
    named.push_back({.name = groups.names[g], .tokens = tokens, .layers = std::move(loads[g])});
  }
  return named;
}

}  // namespace

RoutingStatistics routing_statistics(const RoutingTrace& trace) {
  RoutingStatistics statistics;
  statistics.model = trace.model.name;
  statistics.experts = trace.model.most_experts();
  statistics.top_k = trace.model.top_k;
  statistics.samples = static_cast<int64_t>(trace.samples.size());
  statistics.tokens = static_cast<int64_t>(trace.tokens.size());

  const TokenGroups modalities = by_modality(trace);
  const std::vector<GroupLoad> all = loads_of(trace, everything(trace))[0];
  const std::vector<std::vector<GroupLoad>> of_modality = loads_of(trace, modalities);
  for (size_t l = 0; l < trace.layers(); ++l) {
    const GroupLoad &text = of_modality[0][l], &image = of_modality[1][l];
    statistics.layers.push_back({.layer = trace.model.layers[l] + 1,
                                 .all = all[l],
                                 .text = text,
                                 .image = image,
                                 .text_image_distance = routing_distance(text, image),
                                 .image_share = image_shares(text, image)});
  }
  statistics.sources = named_loads(trace, by_source(trace));
  statistics.categories = named_loads(trace, by_category(trace));
  statistics.positions = named_loads(trace, by_position(trace, kPositionBins));
  std::vector<Pathways> pathways = pathways_of(trace, modalities);
  statistics.text_pathways = std::move(pathways[0]);
  statistics.image_pathways = std::move(pathways[1]);
  statistics.co_activation = co_activation(trace);
  return statistics;
}

}  // namespace moellava
