#include "train/history_picture.hpp"

#include <algorithm>

#include "draw/colour.hpp"
#include "draw/line_chart.hpp"

namespace moellava {

namespace {

constexpr double kWidth = 960;
constexpr double kMargin = 20;
constexpr double kInside = kWidth - 2 * kMargin;
constexpr double kColumn = kInside / 3;
constexpr double kLossHeight = 280;
constexpr double kSmallHeight = 190;
constexpr size_t kFewPoints = 60;  // shown as they are; more are also smoothed

using Column = std::vector<Point> RunHistory::*;

// One column of every run. `smooth`: the values pale, their running mean over them.
LineChart chart_of(const std::vector<RunHistory>& runs, Column column, const std::string& title,
                   bool smooth) {
  LineChart chart{
      .heading = {.title = title}, .x_label = "step", .counted = true, .curves = {}, .low = {}, .high = {}};
  for (size_t r = 0; r < runs.size(); ++r) {
    const std::vector<Point>& points = runs[r].*column;
    const bool pale = smooth && points.size() > kFewPoints;
    chart.curves.push_back(
        {.name = runs[r].name, .colour = series_colour(r), .points = points, .pale = pale});
    if (pale) {
      chart.curves.push_back({.name = runs[r].name,
                              .colour = series_colour(r),
                              .points = smoothed(points, points.size() / 30 + 1)});
    }
  }
  if (smooth && runs.size() == 1 && !(runs[0].*column).empty())
    chart.heading.note = "last " + tick_text((runs[0].*column).back().y);
  return chart;
}

// A panel for each layer, three in a row; returns where the next thing may begin.
double draw_load(Picture& picture, const RunHistory& run, double top) {
  if (run.load.empty()) return top;
  size_t most = 0;
  for (const auto& layer : run.load) most = std::max(most, layer.size());
  picture.add(
      Text{.at = {kMargin, top + 14}, .text = "Expert load by layer: " + run.name, .size = 14, .bold = true});
  std::vector<LegendEntry> experts;
  for (size_t e = 0; e < most; ++e) experts.push_back({"expert " + std::to_string(e + 1), series_colour(e)});
  top += 26;
  top += draw_legend(picture, {kMargin, top, kInside, 0}, experts) + 6;
  for (size_t l = 0; l < run.load.size(); ++l) {
    LineChart chart{.heading = {"MoE layer " + std::to_string(l + 1), {}},
                    .x_label = {},
                    .counted = true,
                    .curves = {},
                    .low = 0,
                    .high = {}};
    for (size_t e = 0; e < run.load[l].size(); ++e)
      chart.curves.push_back({.name = {},
                              .colour = series_colour(e),
                              .points = smoothed(run.load[l][e], run.load[l][e].size() / 60 + 1)});
    const auto column = static_cast<double>(l % 3);
    draw_line_chart(picture, {kMargin + column * kColumn, top, kColumn, kSmallHeight}, chart);
    if (l % 3 == 2 || l + 1 == run.load.size()) top += kSmallHeight;
  }
  return top + 10;
}

}  // namespace

Picture history_picture(const std::vector<RunHistory>& runs) {
  Picture picture{.width = kWidth, .height = 0, .title = "History of training", .shapes = {}};
  double top = kMargin;
  if (runs.size() > 1) {
    std::vector<LegendEntry> names;
    for (size_t r = 0; r < runs.size(); ++r) names.push_back({runs[r].name, series_colour(r)});
    top += draw_legend(picture, {kMargin, top, kInside, 0}, names) + 6;
  }
  const std::string name = runs.size() == 1 ? ": " + runs[0].name : "";
  draw_line_chart(picture, {kMargin, top, kInside, kLossHeight},
                  chart_of(runs, &RunHistory::loss, "Loss" + name, /*smooth=*/true));
  top += kLossHeight + 10;

  struct Small {
    const char* title;
    Column column;
  };
  const Small smalls[] = {{"Learning rate", &RunHistory::learning_rate},
                          {"Balance loss", &RunHistory::balance_loss},
                          {"Dropped choices", &RunHistory::dropped}};
  double left = kMargin;
  for (const Small& small : smalls) {
    // A dense run has no balance loss; an empty chart would only take room.
    const bool any = std::any_of(runs.begin(), runs.end(),
                                 [&](const RunHistory& run) { return !(run.*small.column).empty(); });
    if (!any) continue;
    LineChart chart = chart_of(runs, small.column, small.title, small.column != &RunHistory::learning_rate);
    if (small.column != &RunHistory::balance_loss) chart.low = 0;
    draw_line_chart(picture, {left, top, kColumn, kSmallHeight}, chart);
    left += kColumn;
  }
  if (left > kMargin) top += kSmallHeight + 16;
  for (const RunHistory& run : runs) top = draw_load(picture, run, top);
  picture.height = top + kMargin / 2;
  return picture;
}

}  // namespace moellava
