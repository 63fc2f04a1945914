#include "routing/tables.hpp"

#include <array>
#include <cmath>

#include "base/string_printf.hpp"

namespace moellava {

namespace {

struct Modality {
  const char* name;
  GroupLoad LayerLoad::*load;
};
constexpr std::array<Modality, 3> kModalities = {
    {{"all", &LayerLoad::all}, {"text", &LayerLoad::text}, {"image", &LayerLoad::image}}};

Json load_json(const GroupLoad& load) {
  return {{"tokens", load.tokens},         {"first_choice_share", load.first},
          {"choice_share", load.chosen},   {"entropy_bits", load.entropy_bits},
          {"dropped_share", load.dropped}, {"balance_loss", load.balance_loss}};
}

Json layers_json(const RoutingStatistics& statistics) {
  Json layers = Json::array();
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    const LayerLoad& load = statistics.layers[l];
    Json layer = {{"layer", load.layer},
                  {"text_image_distance", load.text_image_distance},
                  {"image_share_within_expert", load.image_share},
                  {"co_activation", statistics.co_activation[l]}};
    for (const Modality& modality : kModalities) layer[modality.name] = load_json(load.*modality.load);
    layers.push_back(std::move(layer));
  }
  return layers;
}

Json groups_json(const RoutingStatistics& statistics, const std::vector<NamedLoad>& groups) {
  Json list = Json::array();
  for (const NamedLoad& group : groups) {
    Json layers = Json::array();
    for (size_t l = 0; l < group.layers.size(); ++l) {
      layers.push_back(load_json(group.layers[l]));
      layers.back()["layer"] = statistics.layers[l].layer;
    }
    list.push_back({{"name", group.name}, {"tokens", group.tokens}, {"layers", std::move(layers)}});
  }
  return list;
}

Json pathways_json(const Pathways& pathways, int64_t experts) {
  Json components = Json::array();
  for (size_t c = 0; c < pathways.components.size(); ++c) {
    components.push_back({{"scores", pathways.components[c]},
                          {"explained", pathways.explained[c]},
                          {"ranks", expert_ranks(pathways.components[c], experts)}});
  }
  Json paths = Json::array();
  for (const TokenPath& path : pathways.most_travelled) {
    std::vector<int> from_one;
    for (const int16_t expert : path.experts) from_one.push_back(expert + 1);
    paths.push_back({{"experts", from_one}, {"tokens", path.tokens}});
  }
  return {{"tokens", pathways.tokens},
          {"components", std::move(components)},
          {"most_travelled", std::move(paths)},
          {"flows", pathways.flows}};
}

// A cell of CSV: quoted where it must be.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

void add_groups(std::string& csv, const char* kind, const RoutingStatistics& statistics,
                const std::vector<NamedLoad>& groups) {
  for (const NamedLoad& group : groups) {
    for (size_t l = 0; l < group.layers.size(); ++l) {
      const GroupLoad& load = group.layers[l];
      for (size_t e = 0; e < load.first.size(); ++e) {
        csv += string_printf("%s,%s,%d,%zu,%lld,%.6f,%.6f\n", kind, cell(group.name).c_str(),
                             static_cast<int>(statistics.layers[l].layer), e + 1,
                             static_cast<long long>(load.tokens), load.first[e], load.chosen[e]);
      }
    }
  }
}

void add_pathways(std::string& csv, const char* tokens, const RoutingStatistics& statistics,
                  const Pathways& pathways) {
  for (size_t c = 0; c < pathways.components.size(); ++c) {
    for (size_t l = 0; l < statistics.layers.size(); ++l) {
      csv += string_printf("%s,component,%zu,%d,%.6f\n", tokens, c + 1,
                           static_cast<int>(statistics.layers[l].layer), pathways.components[c][l]);
    }
  }
  for (size_t i = 0; i < pathways.most_travelled.size(); ++i) {
    for (size_t l = 0; l < statistics.layers.size(); ++l) {
      csv += string_printf("%s,path,%zu,%d,%d\n", tokens, i + 1, static_cast<int>(statistics.layers[l].layer),
                           pathways.most_travelled[i].experts[l] + 1);
    }
  }
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

Json routing_json(const RoutingStatistics& statistics) {
  return {{"model", statistics.model},
          {"prompts", statistics.samples},
          {"tokens", statistics.tokens},
          {"experts", statistics.experts},
          {"top_k", statistics.top_k},
          {"layers", layers_json(statistics)},
          {"sources", groups_json(statistics, statistics.sources)},
          {"categories", groups_json(statistics, statistics.categories)},
          {"positions", groups_json(statistics, statistics.positions)},
          {"pathways",
           {{"text", pathways_json(statistics.text_pathways, statistics.experts)},
            {"image", pathways_json(statistics.image_pathways, statistics.experts)}}}};
}

std::string load_csv(const RoutingStatistics& statistics) {
  std::string csv = "layer,tokens,expert,first_choice_share,choice_share\n";
  for (const LayerLoad& load : statistics.layers) {
    for (const Modality& modality : kModalities) {
      const GroupLoad& shares_of = load.*modality.load;
      for (size_t e = 0; e < shares_of.first.size(); ++e) {
        csv += string_printf("%d,%s,%zu,%.6f,%.6f\n", static_cast<int>(load.layer), modality.name, e + 1,
                             shares_of.first[e], shares_of.chosen[e]);
      }
    }
  }
  return csv;
}

std::string groups_csv(const RoutingStatistics& statistics) {
  std::string csv = "kind,group,layer,expert,tokens,first_choice_share,choice_share\n";
  add_groups(csv, "source", statistics, statistics.sources);
  add_groups(csv, "category", statistics, statistics.categories);
  add_groups(csv, "position", statistics, statistics.positions);
  return csv;
}

std::string co_activation_csv(const RoutingStatistics& statistics) {
  std::string csv = "layer,expert,other,token_share\n";
  for (size_t l = 0; l < statistics.co_activation.size(); ++l) {
    const CoActivation& shares = statistics.co_activation[l];
    for (size_t a = 0; a < shares.size(); ++a) {
      for (size_t b = 0; b < shares.size(); ++b) {
        csv += string_printf("%d,%zu,%zu,%.6f\n", static_cast<int>(statistics.layers[l].layer), a + 1, b + 1,
                             shares[a][b]);
      }
    }
  }
  return csv;
}

std::string pathways_csv(const RoutingStatistics& statistics) {
  std::string csv = "tokens,kind,rank,layer,value\n";
  add_pathways(csv, "text", statistics, statistics.text_pathways);
  add_pathways(csv, "image", statistics, statistics.image_pathways);
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
