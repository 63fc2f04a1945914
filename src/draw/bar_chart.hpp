// Bars in groups, side by side or stacked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "draw/axis.hpp"
#include "draw/picture.hpp"

namespace moellava {

// G groups: one value of every series in each.
struct BarSeries {
  std::string name;
  std::string colour;
  std::vector<double> values;       // [G]
  std::vector<double> spread = {};  // [G], drawn as a line up and down; none when empty
};

struct BarChart {
  Heading heading;
  std::string x_label;
  std::vector<std::string> groups;  // [G] names
  std::vector<BarSeries> series;
  bool stacked = false;
  std::optional<double> high;  // end of the y axis; by the values when not given
};

// Values are not negative. A tooltip over every bar gives its value.
void draw_bar_chart(Picture& picture, const Box& box, const BarChart& chart);

}  // namespace moellava
