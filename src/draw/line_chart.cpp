#include "draw/line_chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moellava {

namespace {

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

bool is_finite(const Point& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

// Pixels of a stretch of points: where several share a column, the first, lowest, highest and last of them,
// in their order.
std::vector<Point> thinned(const std::vector<Point>& pixels) {
  std::vector<Point> out;
  for (size_t begin = 0; begin < pixels.size();) {
    const double column = std::floor(pixels[begin].x);
    size_t end = begin;
    size_t lowest = begin;
    size_t highest = begin;
    for (; end < pixels.size() && std::floor(pixels[end].x) == column; ++end) {
      if (pixels[end].y < pixels[lowest].y) lowest = end;
      if (pixels[end].y > pixels[highest].y) highest = end;
    }
    size_t kept[] = {begin, std::min(lowest, highest), std::max(lowest, highest), end - 1};
    const size_t* stop = std::unique(std::begin(kept), std::end(kept));
    for (const size_t* i = kept; i != stop; ++i) out.push_back(pixels[*i]);
    begin = end;
  }
  return out;
}

void draw_stretch(Picture& picture, const Curve& curve, std::vector<Point> pixels) {
  if (pixels.empty()) return;
  pixels = thinned(pixels);
  // A single point would be a line of no length.
  if (pixels.size() == 1) pixels = {{pixels[0].x - 2, pixels[0].y}, {pixels[0].x + 2, pixels[0].y}};
  picture.add(Path{.points = std::move(pixels),
                   .stroke = curve.colour,
                   .width = curve.pale ? 1 : 1.8,
                   .opacity = curve.pale ? 0.35 : 1});
}

void draw_curve(Picture& picture, const Curve& curve, const Scale& x, const Scale& y) {
  std::vector<Point> stretch;
  for (const Point& point : curve.points) {
    if (is_finite(point)) {
      stretch.push_back({x(point.x), y(std::clamp(point.y, y.low, y.high))});
    } else {
      draw_stretch(picture, curve, std::move(stretch));
      stretch = {};
    }
  }
  draw_stretch(picture, curve, std::move(stretch));
}

}  // namespace

void draw_line_chart(Picture& picture, const Box& box, const LineChart& chart) {
  const Box plot = draw_frame(picture, box, chart.heading, chart.x_label);
  Range xs;
  Range ys;
  for (const Curve& curve : chart.curves) {
    for (const Point& point : curve.points) {
      if (!is_finite(point)) continue;
      xs.include(point.x);
      ys.include(point.y);
    }
  }
  if (xs.empty()) {
    picture.add(Text{.at = {plot.left + plot.width / 2, plot.top + plot.height / 2},
                     .text = "no values",
                     .align = Align::Middle,
                     .colour = ink::kNote});
    return;
  }
  if (xs.low == xs.high) xs = {.low = xs.low - 1, .high = xs.high + 1};
  const Scale x = {.low = xs.low, .high = xs.high, .from = plot.left, .to = plot.right()};
  Scale y = round_scale(chart.low.value_or(ys.low), chart.high.value_or(ys.high), plot.bottom(), plot.top);
  y.low = chart.low.value_or(y.low);
  y.high = chart.high.value_or(y.high);
  draw_y_axis(picture, plot, y);
  draw_x_axis(picture, plot, x, chart.counted);
  for (const Curve& curve : chart.curves) draw_curve(picture, curve, x, y);
}

std::vector<Point> smoothed(const std::vector<Point>& points, size_t window) {
  std::vector<Point> out;
  out.reserve(points.size());
  const size_t half = window / 2;
  double sum = 0;
  size_t begin = 0;
  size_t end = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    // A window moves by one point, so its sum needs two steps and not `window`.
    for (; end < points.size() && end <= i + half; ++end) sum += points[end].y;
    for (; begin + half < i; ++begin) sum -= points[begin].y;
    out.push_back({points[i].x, sum / static_cast<double>(end - begin)});
  }
  return out;
}

}  // namespace moellava
