// What all charts share: scales, their ticks, titles and legends.
#pragma once

#include <string>
#include <vector>

#include "draw/picture.hpp"

namespace moellava {

// Values along one axis and where they stand: `low` at pixel `from`, `high` at pixel `to`.
struct Scale {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;

  double operator()(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

// Round values (1, 2 or 5 times a power of ten) from `low` to `high`, about `most` of them, no nearer to each
// other than `least_step`.
std::vector<double> round_ticks(double low, double high, int most, double least_step = 0);
// "0.25", "2e-05", "12,000".
std::string tick_text(double value);
// A range that holds both values, is never empty and reaches to round numbers.
Scale round_scale(double low, double high, double from, double to);

// Title and note above a chart.
struct Heading {
  std::string title;
  std::string note = {};  // smaller, at the right
};
// Draws the heading and returns what is left of the box for the values: axes' numbers stand left of it, ticks
// and `x_label` below it.
Box draw_frame(Picture& picture, const Box& box, const Heading& heading, const std::string& x_label);
// Numbers at the left and lines across.
void draw_y_axis(Picture& picture, const Box& plot, const Scale& y);
// Numbers below; of things that are counted, whole ones.
void draw_x_axis(Picture& picture, const Box& plot, const Scale& x, bool counted);

struct LegendEntry {
  std::string name;
  std::string colour;
};
// In rows from the top left of the box; returns the height taken.
double draw_legend(Picture& picture, const Box& box, const std::vector<LegendEntry>& entries);

}  // namespace moellava
