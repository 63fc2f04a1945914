// Curves over a common x axis.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "draw/axis.hpp"
#include "draw/picture.hpp"

namespace moellava {

struct Curve {
  std::string name;
  std::string colour;
  std::vector<Point> points;  // x ascending; points that are not finite interrupt the curve
  bool pale = false;          // a background for another curve
};

struct LineChart {
  Heading heading;
  std::string x_label;
  bool counted = false;  // x values are whole numbers
  std::vector<Curve> curves;
  // Ends of the y axis; by the values when not given.
  std::optional<double> low;
  std::optional<double> high;
};

// Curves of more points than can be seen are thinned to the least and greatest value of each pixel.
void draw_line_chart(Picture& picture, const Box& box, const LineChart& chart);

// Each point the mean of the `window` points around it (fewer at the ends).
std::vector<Point> smoothed(const std::vector<Point>& points, size_t window);

}  // namespace moellava
