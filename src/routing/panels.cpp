#include "routing/panels.hpp"

#include <algorithm>
#include <cmath>

#include "base/string_printf.hpp"
#include "draw/bar_chart.hpp"
#include "draw/colour.hpp"

namespace moellava {

namespace {

// Pixels.
constexpr double kWidth = 350;
constexpr double kHeight = 230;
constexpr double kNameSize = 13;
constexpr double kNumberSize = 10.5;
constexpr double kLetterWidth = 6.2;

// A number for a plot's row or column.
void add_number(Picture& picture, Point at, const std::string& text, Align align) {
  picture.add(Text{.at = at, .text = text, .size = kNumberSize, .align = align, .colour = ink::kNote});
}

// Layers by experts: where the pathways are drawn. Expert 1 stands lowest, as in the paper.
class ExpertGrid {
 public:
  ExpertGrid(Picture& picture, const Box& box, const Heading& heading, const std::vector<std::string>& layers,
             int64_t experts)
      : plot_(draw_frame(picture, box, heading, "layer")), experts_(experts), columns_(layers.size()) {
    for (int64_t e = 0; e < experts_; ++e) {
      const double y = at(0, static_cast<double>(e)).y;
      picture.add(Path{.points = {{plot_.left, y}, {plot_.right(), y}}, .stroke = ink::kGrid});
      if (e % every(static_cast<double>(experts_), plot_.height, 12) == 0)
        add_number(picture, {plot_.left - 10, y + 4}, std::to_string(e + 1), Align::End);
    }
    const int64_t step = every(static_cast<double>(columns_), plot_.width, 18);
    for (size_t l = 0; l < columns_; l += static_cast<size_t>(step))
      add_number(picture, {at(l, 0).x, plot_.bottom() + 16}, layers[l], Align::Middle);
  }

  Point at(size_t layer, double expert) const {
    const double across = columns_ > 1 ? static_cast<double>(layer) / static_cast<double>(columns_ - 1) : 0.5;
    const double up = (expert + 0.5) / static_cast<double>(experts_);
    return {plot_.left + across * plot_.width, plot_.bottom() - up * plot_.height};
  }
  double row_height() const { return plot_.height / static_cast<double>(experts_); }

 private:
  // Of `count` numbers in `room` pixels, which can be read.
  static int64_t every(double count, double room, double least) {
    return std::max<int64_t>(1, static_cast<int64_t>(std::ceil(least * count / room)));
  }

  Box plot_;
  int64_t experts_;
  size_t columns_;
};

// From one place of the grid to the next, level at both ends.
std::vector<Point> bend(const Point& from, const Point& to) {
  constexpr int kSteps = 12;
  std::vector<Point> points;
  for (int i = 0; i <= kSteps; ++i) {
    const double t = static_cast<double>(i) / kSteps;
    points.push_back({from.x + (to.x - from.x) * t, from.y + (to.y - from.y) * t * t * (3 - 2 * t)});
  }
  return points;
}

Path curve(const ExpertGrid& grid, const std::vector<double>& experts, const std::string& colour,
           double width, double opacity) {
  Path path{.points = {}, .stroke = colour, .width = width, .opacity = opacity};
  for (size_t l = 0; l + 1 < experts.size(); ++l) {
    const std::vector<Point> more = bend(grid.at(l, experts[l]), grid.at(l + 1, experts[l + 1]));
    path.points.insert(path.points.end(), more.begin() + (l > 0 ? 1 : 0), more.end());
  }
  return path;
}

void draw_heat_map(Picture& picture, const Box& box, const HeatMap& map, double left, double top) {
  picture.add(Text{.at = {box.left, box.top + 14}, .text = map.name, .size = kNameSize, .bold = true});
  for (size_t c = 0; c < map.columns.size(); ++c) {
    add_number(picture, {box.left + left + (static_cast<double>(c) + 0.5) * map.cell, box.top + top - 5},
               map.columns[c], Align::Middle);
  }
  const Rgb dark = rgb_of("#1f5f99");
  const auto mixed = [](uint8_t end, double share) {
    return static_cast<int>(std::lround(255 + (end - 255) * share));
  };
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double y = box.top + top + static_cast<double>(r) * map.cell;
    add_number(picture, {box.left + left - 6, y + map.cell / 2 + 4}, map.rows[r], Align::End);
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const double share = std::clamp(map.values[r][c] / map.high, 0.0, 1.0);
      picture.add(Rectangle{
          .box = {box.left + left + static_cast<double>(c) * map.cell, y, map.cell - 1, map.cell - 1},
          .fill = string_printf("#%02x%02x%02x", mixed(dark.red, share), mixed(dark.green, share),
                                mixed(dark.blue, share)),
          .stroke = ink::kGrid,
          .tooltip = map.rows[r] + ", " + map.columns[c] + ": " + string_printf("%.1f", map.values[r][c]) +
                     map.unit});
    }
  }
}

}  // namespace

std::vector<std::string> layer_names(const RoutingStatistics& statistics) {
  std::vector<std::string> names;
  for (const LayerLoad& layer : statistics.layers) names.push_back(std::to_string(layer.layer));
  return names;
}

std::vector<LegendEntry> expert_legend(int64_t experts) {
  std::vector<LegendEntry> legend;
  for (int64_t e = 0; e < experts; ++e)
    legend.push_back(
        {.name = "expert " + std::to_string(e + 1), .colour = series_colour(static_cast<size_t>(e))});
  return legend;
}

Panel load_panel(const std::string& name, const std::string& note, const std::string& x_label,
                 const std::vector<std::string>& columns, const std::vector<const GroupLoad*>& loads,
                 int64_t experts) {
  BarChart chart{.heading = {.title = name, .note = note},
                 .x_label = x_label,
                 .groups = columns,
                 .series = {},
                 .stacked = true,
                 .high = 100};
  for (const LegendEntry& entry : expert_legend(experts)) {
    BarSeries& series = chart.series.emplace_back();
    series.name = entry.name;
    series.colour = entry.colour;
    const size_t e = chart.series.size() - 1;
    for (const GroupLoad* load : loads)
      series.values.push_back(e < load->first.size() ? 100 * load->first[e] : 0);
  }
  return {
      .name = name, .width = kWidth, .height = kHeight, .draw = [chart](Picture& picture, const Box& box) {
        draw_bar_chart(picture, box, chart);
      }};
}

Panel heat_panel(HeatMap map) {
  size_t longest = 1;
  for (const std::string& row : map.rows) longest = std::max(longest, row.size());
  const double left = 14 + kLetterWidth * static_cast<double>(longest);
  const double top = 42;
  const double name_width = kLetterWidth * 1.2 * static_cast<double>(map.name.size());
  const double width = std::max(left + map.cell * static_cast<double>(map.columns.size()), name_width) + 8;
  const double height = top + map.cell * static_cast<double>(map.rows.size()) + 8;
  const std::string name = map.name;
  return {.name = name,
          .width = width,
          .height = height,
          .draw = [map = std::move(map), left, top](Picture& picture, const Box& box) {
            draw_heat_map(picture, box, map, left, top);
          }};
}

Panel pathway_panel(const std::string& name, const Pathways& pathways, const RoutingStatistics& statistics,
                    const std::vector<std::string>& colours) {
  const int64_t experts = statistics.experts;
  const auto draw = [=, layers = layer_names(statistics)](Picture& picture, const Box& box) {
    const size_t count = pathways.components.size();
    std::string note = "nothing to tell apart";
    if (count == 1) note = "all of the variance";
    if (count > 1) {
      note = string_printf("%.0f %% + %.0f %% of the variance", 100 * pathways.explained[0],
                           100 * pathways.explained[1]);
    }
    const ExpertGrid grid(picture, box, {.title = name, .note = note}, layers, experts);
    for (size_t c = count; c-- > 0;) {  // the first on top
      std::vector<double> ranks;
      for (const int rank : expert_ranks(pathways.components[c], experts)) ranks.push_back(rank - 1);
      const bool stands_out = c < colours.size();
      picture.add(curve(grid, ranks, stands_out ? colours[c] : ink::kAxis, stands_out ? 3.2 : 1,
                        stands_out ? 1 : 0.4));
    }
  };
  return {.name = name, .width = kWidth, .height = kHeight, .draw = draw};
}

namespace {

void draw_flows(Picture& picture, const ExpertGrid& grid, const Pathways& pathways, size_t experts,
                const std::string& colour) {
  constexpr double kLeastShare = 0.002;  // narrower bands cannot be seen
  for (size_t l = 0; l < pathways.flows.size(); ++l) {
    for (size_t i = 0; i < experts * experts; ++i) {
      const double share = pathways.flows[l][i];
      if (share < kLeastShare) continue;
      const size_t a = i / experts, b = i % experts;
      const Point from = grid.at(l, static_cast<double>(a));
      const Point to = grid.at(l + 1, static_cast<double>(b));
      picture.add(Path{.points = bend(from, to),
                       .stroke = colour,
                       .width = std::max(0.4, share * grid.row_height() * 0.8),
                       .opacity = 0.35});
    }
  }
}

}  // namespace

Panel flow_panel(const std::string& name, const Pathways& pathways, const RoutingStatistics& statistics,
                 const std::string& colour) {
  const int64_t experts = statistics.experts;
  const auto draw = [=, layers = layer_names(statistics)](Picture& picture, const Box& box) {
    if (pathways.tokens == 0) {
      ExpertGrid(picture, box, {.title = name, .note = "none seen"}, layers, experts);
      return;
    }
    const TokenPath& first = pathways.most_travelled[0];
    const std::string note =
        string_printf("the same path: %.1f %% of the tokens",
                      100 * static_cast<double>(first.tokens) / static_cast<double>(pathways.tokens));
    const ExpertGrid grid(picture, box, {.title = name, .note = note}, layers, experts);
    draw_flows(picture, grid, pathways, static_cast<size_t>(experts), colour);
    picture.add(curve(grid, {first.experts.begin(), first.experts.end()}, ink::kText, 1.6, 1));
  };
  return {.name = name, .width = kWidth, .height = kHeight, .draw = draw};
}

}  // namespace moellava
