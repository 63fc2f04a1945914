#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "draw/bar_chart.hpp"
#include "draw/line_chart.hpp"
#include "draw/xml_testing.hpp"

namespace moellava {
namespace {

using test::count;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr Box kBox = {0, 0, 400, 300};

Picture drawn(const LineChart& chart) {
  Picture picture{.width = 400, .height = 300, .title = "", .shapes = {}};
  draw_line_chart(picture, kBox, chart);
  return picture;
}

// The curves, without axes and grid.
std::vector<Path> curves(const Picture& picture, const std::string& colour) {
  std::vector<Path> found;
  for (const Shape& shape : picture.shapes) {
    const Path* path = std::get_if<Path>(&shape);
    if (path != nullptr && path->stroke == colour) found.push_back(*path);
  }
  return found;
}

TEST(Ticks, AreRound) {
  EXPECT_THAT(round_ticks(0, 1, 5), ElementsAre(0, testing::DoubleEq(0.2), testing::DoubleEq(0.4),
                                                testing::DoubleNear(0.6, 1e-12), testing::DoubleEq(0.8), 1));
  EXPECT_THAT(round_ticks(3, 17, 4), ElementsAre(5, 10, 15));
  EXPECT_THAT(round_ticks(1, 3, 10, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(round_ticks(0, 2e-5, 2), ElementsAre(0, testing::DoubleEq(1e-5), testing::DoubleEq(2e-5)));
  for (double high : {1e-9, 0.37, 5.0, 123456.0, 3e30}) {
    for (int most : {2, 5, 9}) EXPECT_LE(round_ticks(0, high, most).size(), static_cast<size_t>(most) + 1);
  }
}

TEST(Ticks, AreWrittenShortly) {
  EXPECT_EQ(tick_text(0.25), "0.25");
  EXPECT_EQ(tick_text(-0.0), "0");
  EXPECT_EQ(tick_text(2e-5), "2e-05");
  EXPECT_EQ(tick_text(0.1 + 0.2), "0.3");
  EXPECT_EQ(tick_text(12000), "12,000");
  EXPECT_EQ(tick_text(-1234567), "-1,234,567");
  EXPECT_EQ(tick_text(3e30), "3e+30");
}

TEST(RoundScale, HoldsTheValuesAndIsNeverEmpty) {
  for (const auto& [low, high] : {std::pair{0.0, 0.0},
                                  {1.0, 1.0},
                                  {-3.0, -3.0},
                                  {1e20, 1e20},
                                  {0.13, 4.9},
                                  {1e-5, 2e-5},
                                  {-1.0, 1.0}}) {
    const Scale scale = round_scale(low, high, 100, 0);
    EXPECT_LE(scale.low, low);
    EXPECT_GE(scale.high, high);
    EXPECT_LT(scale.low, scale.high);
    EXPECT_LE(scale(high), scale(low));  // pixels grow downwards
    EXPECT_GE(scale(high), 0 - 1e-9);
    EXPECT_LE(scale(low), 100 + 1e-9);
  }
}

TEST(LineChart, PointsStandWhereTheirValuesAre) {
  LineChart chart{.heading = {"Loss", "last 1.5"}, .x_label = "step", .curves = {}, .low = 0, .high = 4};
  chart.curves.push_back({.name = "a", .colour = "#62a0ca", .points = {{1, 4}, {2, 2}, {3, 0}}});
  const Picture picture = drawn(chart);
  const std::vector<Path> found = curves(picture, "#62a0ca");
  ASSERT_EQ(found.size(), 1U);
  const std::vector<Point>& points = found[0].points;
  ASSERT_EQ(points.size(), 3U);
  EXPECT_DOUBLE_EQ(points[1].x, (points[0].x + points[2].x) / 2);
  EXPECT_DOUBLE_EQ(points[1].y, (points[0].y + points[2].y) / 2);
  EXPECT_LT(points[0].y, points[2].y);
  const std::string svg = svg_of(picture);
  for (const char* text : {">Loss<", ">last 1.5<", ">step<", ">4<", ">0<"}) EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(test::fault_in(svg), "");
}

TEST(LineChart, ManyPointsKeepTheirExtremes) {
  Curve curve{.name = "", .colour = "#62a0ca", .points = {}};
  for (int i = 0; i < 100000; ++i) curve.points.push_back({static_cast<double>(i), std::sin(i / 5e3)});
  curve.points[43210].y = 9;  // one step's spike
  const std::vector<Path> found =
      curves(drawn({.heading = {}, .x_label = "", .curves = {curve}, .low = {}, .high = {}}), "#62a0ca");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_LE(found[0].points.size(), 4U * 400U);
  const auto highest = std::min_element(found[0].points.begin(), found[0].points.end(),
                                        [](const Point& a, const Point& b) { return a.y < b.y; });
  const auto second = std::min_element(found[0].points.begin(), highest,
                                       [](const Point& a, const Point& b) { return a.y < b.y; });
  EXPECT_LT(highest->y + 100, second->y);
}

TEST(LineChart, NotFiniteValuesInterruptTheCurve) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  LineChart chart{.heading = {}, .x_label = "", .curves = {}, .low = {}, .high = {}};
  chart.curves.push_back(
      {.name = "", .colour = "#62a0ca", .points = {{1, 1}, {2, 2}, {3, nan}, {4, 1}, {5, infinite}}});
  const Picture picture = drawn(chart);
  EXPECT_EQ(curves(picture, "#62a0ca").size(), 2U);
  EXPECT_THAT(svg_of(picture), Not(HasSubstr("nan")));
  EXPECT_THAT(svg_of(picture), Not(HasSubstr("inf")));
}

TEST(LineChart, SaysThatThereIsNothing) {
  EXPECT_THAT(svg_of(drawn({.heading = {}, .x_label = "", .curves = {}, .low = {}, .high = {}})),
              HasSubstr(">no values<"));
}

TEST(Smoothed, IsTheMeanAround) {
  const std::vector<Point> points = {{0, 3}, {1, 0}, {2, 6}, {3, 3}};
  std::vector<double> ys;
  for (const Point& point : smoothed(points, 3)) ys.push_back(point.y);
  EXPECT_THAT(ys, ElementsAre(1.5, 3, 3, 4.5));
  EXPECT_EQ(smoothed(points, 1)[2].y, 6);
  EXPECT_TRUE(smoothed({}, 5).empty());
}

TEST(BarChart, StacksAndGroups) {
  BarChart chart{.heading = {"Load", ""},
                 .x_label = "layer",
                 .groups = {"1", "2"},
                 .series = {},
                 .stacked = true,
                 .high = 1};
  chart.series.push_back({.name = "expert 1", .colour = "#62a0ca", .values = {0.25, 0.5}});
  chart.series.push_back(
      {.name = "expert 2", .colour = "#ffa556", .values = {0.75, 0.5}, .spread = {0.1, 0}});
  for (const bool stacked : {true, false}) {
    chart.stacked = stacked;
    Picture picture{.width = 400, .height = 300, .title = "", .shapes = {}};
    draw_bar_chart(picture, kBox, chart);
    std::vector<Box> bars;
    for (const Shape& shape : picture.shapes) {
      if (const auto* bar = std::get_if<Rectangle>(&shape)) bars.push_back(bar->box);
    }
    ASSERT_EQ(bars.size(), 4U);
    EXPECT_NEAR(bars[1].height, 3 * bars[0].height, 1e-9);
    if (stacked) {
      EXPECT_DOUBLE_EQ(bars[1].bottom(), bars[0].top);
      EXPECT_DOUBLE_EQ(bars[1].left, bars[0].left);
    } else {
      EXPECT_DOUBLE_EQ(bars[1].bottom(), bars[0].bottom());
      EXPECT_DOUBLE_EQ(bars[1].left, bars[0].right());
    }
    const std::string svg = svg_of(picture);
    EXPECT_THAT(svg, HasSubstr("<title>1, expert 2: 0.75 ± 0.1</title>"));
    EXPECT_THAT(svg, HasSubstr("<title>2, expert 2: 0.5</title>"));
  }
}

TEST(Legend, BreaksIntoRows) {
  Picture picture{.width = 400, .height = 300, .title = "", .shapes = {}};
  std::vector<LegendEntry> entries;
  for (int i = 0; i < 9; ++i) entries.push_back({"a name of some length", "#62a0ca"});
  const double height = draw_legend(picture, kBox, entries);
  EXPECT_EQ(count(svg_of(picture), "a name of some length"), 9U);
  EXPECT_GT(height, 60);
  for (const Shape& shape : picture.shapes) {
    const auto* mark = std::get_if<Rectangle>(&shape);
    EXPECT_TRUE(mark == nullptr || mark->box.left < 300);
  }
}

}  // namespace
}  // namespace moellava
