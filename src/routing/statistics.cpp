#include "routing/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/string_printf.hpp"

namespace moellava {

namespace {

std::vector<double> shares(const std::vector<int64_t>& counts) {
  int64_t sum = 0;
  for (int64_t count : counts) sum += count;
  std::vector<double> parts(counts.size(), 0.0);
  for (size_t e = 0; sum > 0 && e < counts.size(); ++e)
    parts[e] = static_cast<double>(counts[e]) / static_cast<double>(sum);
  return parts;
}

GroupLoad group_load(const ExpertCounts& counts, int64_t top_k) {
  const auto tokens = static_cast<double>(std::max<int64_t>(counts.tokens, 1));
  return {.tokens = counts.tokens,
          .first = shares(counts.first),
          .chosen = shares(counts.chosen),
          .entropy_bits = counts.entropy / tokens,
          .dropped = static_cast<double>(counts.dropped) / (tokens * static_cast<double>(top_k))};
}

double total_variation(const GroupLoad& a, const GroupLoad& b) {
  if (a.tokens == 0 || b.tokens == 0) return 0;
  double sum = 0;
  for (size_t e = 0; e < a.first.size(); ++e) sum += std::abs(a.first[e] - b.first[e]);
  return sum / 2;
}

struct NamedGroup {
  const char* name;
  GroupLoad LayerLoad::*load;
};
constexpr std::array<NamedGroup, 3> kGroups = {
    {{"all", &LayerLoad::all}, {"text", &LayerLoad::text}, {"image", &LayerLoad::image}}};

Json group_json(const GroupLoad& load) {
  return {{"tokens", load.tokens},
          {"first_choice_share", load.first},
          {"choice_share", load.chosen},
          {"entropy_bits", load.entropy_bits},
          {"dropped_share", load.dropped}};
}

// Expert numbers as often as their share of `width`; rounding is done on the running sum, so that the bar is
// exactly `width` long.
std::string bar(const GroupLoad& load, int width) {
  constexpr std::string_view digits = "123456789abcdefghijklmnopqrstuvwxyz";
  if (load.tokens == 0) return std::string(static_cast<size_t>(width), '-');
  std::string text;
  double sum = 0;
  for (size_t e = 0; e < load.first.size(); ++e) {
    sum += load.first[e];
    const auto end = static_cast<size_t>(std::lround(sum * width));
    text.resize(std::max(end, text.size()), e < digits.size() ? digits[e] : '+');
  }
  return text;
}

}  // namespace

RoutingStatistics routing_statistics(const RoutingTrace& trace) {
  RoutingStatistics statistics;
  statistics.passes = trace.passes();
  for (const LayerTrace& layer : trace.layers()) {
    LayerLoad& load = statistics.layers.emplace_back();
    load.layer = layer.layer + 1;
    load.all = group_load(layer.all(), layer.top_k);
    load.text = group_load(layer.of(Modality::Text), layer.top_k);
    load.image = group_load(layer.of(Modality::Image), layer.top_k);
    load.text_image_distance = total_variation(load.text, load.image);
    statistics.top_k = layer.top_k;
    statistics.experts = std::max(statistics.experts, static_cast<int64_t>(load.all.first.size()));
  }
  return statistics;
}

Json routing_json(const RoutingStatistics& statistics) {
  Json layers = Json::array();
  for (const LayerLoad& load : statistics.layers) {
    Json layer = {{"layer", load.layer}, {"text_image_distance", load.text_image_distance}};
    for (const NamedGroup& group : kGroups) layer[group.name] = group_json(load.*group.load);
    layers.push_back(std::move(layer));
  }
  return {{"prompts", statistics.passes},
          {"experts", statistics.experts},
          {"top_k", statistics.top_k},
          {"layers", std::move(layers)}};
}

std::string routing_csv(const RoutingStatistics& statistics) {
  std::string csv = "layer,tokens,expert,first_choice_share,choice_share\n";
  for (const LayerLoad& load : statistics.layers) {
    for (const NamedGroup& group : kGroups) {
      const GroupLoad& shares_of = load.*group.load;
      for (size_t e = 0; e < shares_of.first.size(); ++e) {
        csv += string_printf("%d,%s,%zu,%.6f,%.6f\n", static_cast<int>(load.layer), group.name, e + 1,
                             shares_of.first[e], shares_of.chosen[e]);
      }
    }
  }
  return csv;
}

std::string routing_bars(const RoutingStatistics& statistics, int width) {
  std::string text = string_printf("layer  %-*s  %-*s  %-*s  entropy  dropped\n", width, "all tokens", width,
                                   "text", width, "image");
  for (const LayerLoad& load : statistics.layers) {
    text += string_printf("%5d  %s  %s  %s  %7.2f  %5.1f %%\n", static_cast<int>(load.layer),
                          bar(load.all, width).c_str(), bar(load.text, width).c_str(),
                          bar(load.image, width).c_str(), load.all.entropy_bits, 100 * load.all.dropped);
  }
  return text;
}

}  // namespace moellava
