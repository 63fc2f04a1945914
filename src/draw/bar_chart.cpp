#include "draw/bar_chart.hpp"

#include <algorithm>
#include <cmath>

namespace moellava {

namespace {

constexpr double kGroupShare = 0.8;  // of a group's room that its bars fill
constexpr double kWidestBar = 44;
constexpr double kLetterWidth = 6.5;

double spread_of(const BarSeries& series, size_t group) {
  return group < series.spread.size() ? series.spread[group] : 0;
}

double highest(const BarChart& chart) {
  double highest = 0;
  for (size_t g = 0; g < chart.groups.size(); ++g) {
    double sum = 0;
    for (const BarSeries& series : chart.series) {
      const double top = series.values[g] + spread_of(series, g);
      sum += series.values[g];
      highest = std::max(highest, chart.stacked ? std::max(sum, top) : top);
    }
  }
  return highest;
}

std::string tooltip(const BarChart& chart, const BarSeries& series, size_t group) {
  std::string text = chart.groups[group] + ", " + series.name + ": " + tick_text(series.values[group]);
  const double spread = spread_of(series, group);
  return spread > 0 ? text + " ± " + tick_text(spread) : text;
}

// The bars of one group around `middle`.
void draw_group(Picture& picture, const BarChart& chart, size_t group, double middle, double room,
                const Scale& y) {
  const auto count = chart.stacked ? 1.0 : static_cast<double>(std::max<size_t>(chart.series.size(), 1));
  const double width = std::min(room * kGroupShare / count, kWidestBar);
  double left = middle - width * count / 2;
  double below = 0;
  for (const BarSeries& series : chart.series) {
    const double top = below + series.values[group];
    picture.add(Rectangle{.box = {left, y(top), width, y(below) - y(top)},
                          .fill = series.colour,
                          .tooltip = tooltip(chart, series, group)});
    if (const double spread = spread_of(series, group); spread > 0) {
      const double x = left + width / 2;
      picture.add(
          Path{.points = {{x, y(std::max(top - spread, y.low))}, {x, y(std::min(top + spread, y.high))}},
               .stroke = ink::kText,
               .width = 1.4});
    }
    if (chart.stacked)
      below = top;
    else
      left += width;
  }
}

}  // namespace

void draw_bar_chart(Picture& picture, const Box& box, const BarChart& chart) {
  const Box plot = draw_frame(picture, box, chart.heading, chart.x_label);
  Scale y = round_scale(0, chart.high.value_or(highest(chart)), plot.bottom(), plot.top);
  y.low = 0;
  y.high = chart.high.value_or(y.high);
  draw_y_axis(picture, plot, y);
  size_t longest = 1;
  for (const std::string& name : chart.groups) longest = std::max(longest, name.size());
  const double room = plot.width / static_cast<double>(std::max<size_t>(chart.groups.size(), 1));
  // Names that would run into each other are left out.
  const auto every =
      static_cast<size_t>(std::max(1.0, std::ceil(kLetterWidth * static_cast<double>(longest + 1) / room)));
  for (size_t g = 0; g < chart.groups.size(); ++g) {
    const double middle = plot.left + room * (static_cast<double>(g) + 0.5);
    draw_group(picture, chart, g, middle, room, y);
    if (g % every != 0) continue;
    picture.add(Text{.at = {middle, plot.bottom() + 16},
                     .text = chart.groups[g],
                     .size = 11,
                     .align = Align::Middle,
                     .colour = ink::kNote});
  }
  picture.add(
      Path{.points = {{plot.left, plot.bottom()}, {plot.right(), plot.bottom()}}, .stroke = ink::kAxis});
}

}  // namespace moellava
