#include "routing/figures.hpp"

#include <algorithm>
#include <cmath>

#include "base/string_printf.hpp"
#include "draw/bar_chart.hpp"
#include "draw/line_chart.hpp"
#include "routing/panels.hpp"

namespace moellava {

namespace {

constexpr const char* kTextColour = "#bf5029";   // as the paper's pathways of text
constexpr const char* kImageColour = "#365cbf";  // and of image
constexpr const char* kAllColour = "#57606a";
constexpr double kWidth = 350;  // of a panel, pixels
constexpr double kHeight = 230;

std::string tokens_note(int64_t tokens) {
  return tokens == 0 ? "none seen" : tick_text(static_cast<double>(tokens)) + " tokens";
}

std::vector<const GroupLoad*> loads_of_layers(const std::vector<GroupLoad>& layers) {
  std::vector<const GroupLoad*> loads;
  loads.reserve(layers.size());
  for (const GroupLoad& load : layers) loads.push_back(&load);
  return loads;
}

Figure load_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "load",
                .title = "Expert load by layer",
                .short_title = "Load",
                .meaning =
                    "Share of the tokens by their first-choice expert, in percent. Level bands mean a "
                    "balanced load; text and image that look alike are routed alike.",
                .legend = expert_legend(statistics.experts),
                .panels = {}};
  for (const auto& [name, member] :
       {std::pair("All tokens", &LayerLoad::all), {"Text", &LayerLoad::text}, {"Image", &LayerLoad::image}}) {
    std::vector<const GroupLoad*> loads;
    for (const LayerLoad& layer : statistics.layers) loads.push_back(&(layer.*member));
    figure.panels.push_back(load_panel(name, tokens_note(loads.empty() ? 0 : loads[0]->tokens), "layer",
                                       layer_names(statistics), loads, statistics.experts));
  }
  return figure;
}

Panel image_share_panel(const RoutingStatistics& statistics, size_t expert) {
  BarChart chart{.heading = {.title = "Expert " + std::to_string(expert + 1), .note = ""},
                 .x_label = "layer",
                 .groups = layer_names(statistics),
                 .series = {{.name = "text", .colour = kTextColour, .values = {}},
                            {.name = "image", .colour = kImageColour, .values = {}}},
                 .stacked = true,
                 .high = 100};
  for (const LayerLoad& layer : statistics.layers) {
    const bool idle = expert >= layer.all.first.size() || layer.all.first[expert] == 0;
    const double image = idle ? 0 : 100 * layer.image_share[expert];
    chart.series[0].values.push_back(idle ? 0 : 100 - image);
    chart.series[1].values.push_back(image);
  }
  return {.name = chart.heading.title,
          .width = kWidth,
          .height = kHeight,
          .draw = [chart](Picture& picture, const Box& box) { draw_bar_chart(picture, box, chart); }};
}

Figure modality_figure(const RoutingStatistics& statistics) {
  constexpr int64_t kMostPanels = 8;
  Figure figure{
      .name = "modalities",
      .title = "Text and image within each expert",
      .short_title = "Modalities",
      .meaning =
          "Of the tokens that go to an expert first, the share of words and of patches, in "
          "percent, as if there were as many patches as words. Half and half: the expert has "
          "no preference. A gap: it got no token at all.",
      .legend = {{.name = "text", .colour = kTextColour}, {.name = "image", .colour = kImageColour}},
      .panels = {}};
  if (statistics.experts <= kMostPanels) {
    for (int64_t e = 0; e < statistics.experts; ++e)
      figure.panels.push_back(image_share_panel(statistics, static_cast<size_t>(e)));
    return figure;
  }
  HeatMap map{.name = "image, % of an expert's tokens",
              .rows = layer_names(statistics),
              .columns = {},
              .values = {},
              .high = 100,
              .unit = " % image",
              .cell = 15};
  for (int64_t e = 0; e < statistics.experts; ++e) map.columns.push_back(std::to_string(e + 1));
  for (const LayerLoad& layer : statistics.layers) {
    std::vector<double>& row = map.values.emplace_back(map.columns.size());
    for (size_t e = 0; e < layer.image_share.size(); ++e) row[e] = 100 * layer.image_share[e];
  }
  figure.legend = {};
  figure.panels.push_back(heat_panel(std::move(map)));
  return figure;
}

Curve layer_curve(const RoutingStatistics& statistics, const char* name, const char* colour,
                  const std::function<double(const LayerLoad&)>& value) {
  Curve curve{.name = name, .colour = colour, .points = {}};
  for (const LayerLoad& layer : statistics.layers)
    curve.points.push_back({static_cast<double>(layer.layer), value(layer)});
  return curve;
}

Panel line_panel(const char* name, const char* note, std::vector<Curve> curves, double low, double high) {
  LineChart chart{.heading = {.title = name, .note = note},
                  .x_label = "layer",
                  .curves = std::move(curves),
                  .low = low,
                  .high = high};
  return {
      .name = name, .width = kWidth, .height = kHeight, .draw = [chart](Picture& picture, const Box& box) {
        draw_line_chart(picture, box, chart);
      }};
}

Figure depth_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "depth",
                .title = "What changes with depth",
                .short_title = "Depth",
                .meaning =
                    "Distance: the share of the words that would have to go elsewhere to be routed as the "
                    "patches are. Entropy: log2 of the number of experts when a router is undecided, 0 "
                    "when it is sure. Balance: the loss that training holds down, 1 when balanced. "
                    "Dropped: choices that found their expert full.",
                .legend = {{.name = "text", .colour = kTextColour},
                           {.name = "image", .colour = kImageColour},
                           {.name = "all tokens", .colour = kAllColour}},
                .panels = {}};
  const auto panel_of = [&](const char* name, const char* note, double GroupLoad::*field, double low,
                            double high, double scale) {
    std::vector<Curve> curves;
    curves.push_back(layer_curve(statistics, "all", kAllColour,
                                 [&](const LayerLoad& layer) { return scale * (layer.all.*field); }));
    curves.push_back(layer_curve(statistics, "text", kTextColour,
                                 [&](const LayerLoad& layer) { return scale * (layer.text.*field); }));
    if (statistics.image_pathways.tokens > 0)
      curves.push_back(layer_curve(statistics, "image", kImageColour,
                                   [&](const LayerLoad& layer) { return scale * (layer.image.*field); }));
    for (const Curve& curve : curves) {
      for (const Point& point : curve.points) high = std::max(high, point.y);
    }
    return line_panel(name, note, std::move(curves), low, high);
  };
  figure.panels.push_back(
      line_panel("Distance of text and image", "%",
                 {layer_curve(statistics, "distance", kAllColour,
                              [](const LayerLoad& layer) { return 100 * layer.text_image_distance; })},
                 0, 100));
  const double undecided = std::log2(static_cast<double>(std::max<int64_t>(statistics.experts, 2)));
  figure.panels.push_back(
      panel_of("Entropy of the routers", "bits", &GroupLoad::entropy_bits, 0, undecided, 1));
  figure.panels.push_back(panel_of("Balance loss", "1: balanced", &GroupLoad::balance_loss, 0, 2, 1));
  figure.panels.push_back(panel_of("Dropped choices", "%", &GroupLoad::dropped, 0, 10, 100));
  return figure;
}

Figure pathway_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "pathways",
                .title = "Pathways, as the paper draws them",
                .short_title = "Pathways",
                .meaning =
                    "Principal components of the first choices over the layers, each stretched to the "
                    "experts' numbers. The two that explain most stand out; the others are pale. A "
                    "component is a direction, not a road that a token takes.",
                .legend = {{.name = "text 1", .colour = kTextColour},
                           {.name = "text 2", .colour = "#ff9069"},
                           {.name = "image 1", .colour = kImageColour},
                           {.name = "image 2", .colour = "#76beff"}},
                .panels = {}};
  figure.panels.push_back(
      pathway_panel("Text", statistics.text_pathways, statistics, {kTextColour, "#ff9069"}));
  figure.panels.push_back(
      pathway_panel("Image", statistics.image_pathways, statistics, {kImageColour, "#76beff"}));
  return figure;
}

Figure path_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "paths",
                .title = "The roads that tokens take",
                .short_title = "Roads",
                .meaning =
                    "From expert to expert, layer by layer: a band is as wide as the share of the tokens "
                    "that go there. The thin dark line is the one whole path that most tokens share.",
                .legend = {},
                .panels = {}};
  figure.panels.push_back(flow_panel("Text", statistics.text_pathways, statistics, "#ff9069"));
  figure.panels.push_back(flow_panel("Image", statistics.image_pathways, statistics, "#76a9ff"));
  return figure;
}

Figure co_activation_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "co_activation",
                .title = "Experts that work together",
                .short_title = "Together",
                .meaning =
                    "Share of a layer's tokens that chose both experts, in percent; on the diagonal, those "
                    "that chose the expert at all.",
                .legend = {},
                .panels = {}};
  const double cell = statistics.experts <= 8 ? 26 : 200.0 / static_cast<double>(statistics.experts);
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    HeatMap map{.name = "layer " + std::to_string(statistics.layers[l].layer),
                .rows = {},
                .columns = {},
                .values = statistics.co_activation[l],
                .high = 100,
                .unit = " %",
                .cell = cell};
    for (std::vector<double>& row : map.values) {
      map.rows.push_back(std::to_string(map.rows.size() + 1));
      for (double& value : row) value *= 100;
    }
    map.columns = map.rows;
    figure.panels.push_back(heat_panel(std::move(map)));
  }
  return figure;
}

// How differently two groups are routed, in percent of the tokens, mean over the layers.
double mean_distance(const NamedLoad& a, const NamedLoad& b) {
  double sum = 0;
  for (size_t l = 0; l < a.layers.size(); ++l) sum += routing_distance(a.layers[l], b.layers[l]);
  return a.layers.empty() ? 0 : 100 * sum / static_cast<double>(a.layers.size());
}

Figure group_figure(const RoutingStatistics& statistics, const std::vector<NamedLoad>& groups,
                    const char* name, const char* title) {
  constexpr size_t kMostPanels = 24;
  Figure figure{.name = name,
                .title = title,
                .short_title = title,
                .meaning =
                    "Expert load of the words, patches and answers of each. The last panel: how far two "
                    "are apart, as the share of the tokens that would have to go elsewhere, mean over "
                    "the layers.",
                .legend = expert_legend(statistics.experts),
                .panels = {}};
  HeatMap map{.name = "distance, %", .rows = {}, .columns = {}, .values = {}, .high = 50, .unit = " %"};
  for (const NamedLoad& group : groups) {
    if (map.rows.size() == kMostPanels) break;
    figure.panels.push_back(load_panel(group.name, tokens_note(group.tokens), "layer",
                                       layer_names(statistics), loads_of_layers(group.layers),
                                       statistics.experts));
    map.rows.push_back(std::to_string(map.rows.size() + 1) + " " + group.name);
    map.columns.push_back(std::to_string(map.columns.size() + 1));
    std::vector<double>& row = map.values.emplace_back();
    for (size_t other = 0; other < std::min(groups.size(), kMostPanels); ++other)
      row.push_back(mean_distance(group, groups[other]));
  }
  figure.panels.push_back(heat_panel(std::move(map)));
  return figure;
}

Figure position_figure(const RoutingStatistics& statistics) {
  Figure figure{.name = "positions",
                .title = "By position",
                .short_title = "Positions",
                .meaning =
                    "Expert load along the conversation, layer by layer: what stands at the beginning, in "
                    "the middle and at the end of a prompt and its answer.",
                .legend = expert_legend(statistics.experts),
                .panels = {}};
  std::vector<std::string> columns;
  for (const NamedLoad& group : statistics.positions) columns.push_back(group.name);
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    std::vector<const GroupLoad*> loads;
    for (const NamedLoad& group : statistics.positions) loads.push_back(&group.layers[l]);
    figure.panels.push_back(load_panel("Layer " + std::to_string(statistics.layers[l].layer), "", "position",
                                       columns, loads, statistics.experts));
  }
  return figure;
}

}  // namespace

std::vector<Figure> routing_figures(const RoutingStatistics& statistics) {
  std::vector<Figure> figures = {load_figure(statistics),    modality_figure(statistics),
                                 depth_figure(statistics),   pathway_figure(statistics),
                                 path_figure(statistics),    co_activation_figure(statistics),
                                 position_figure(statistics)};
  if (statistics.sources.size() > 1)
    figures.push_back(group_figure(statistics, statistics.sources, "benchmarks", "By benchmark"));
  if (statistics.categories.size() > 1)
    figures.push_back(group_figure(statistics, statistics.categories, "categories", "By kind of question"));
  return figures;
}

}  // namespace moellava
