#include "routing/figures.hpp"

#include <gmock/gmock.h>

#include <set>

#include "draw/colour.hpp"
#include "draw/xml_testing.hpp"
#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const Figure& named(const std::vector<Figure>& figures, const std::string& name) {
  for (const Figure& figure : figures) {
    if (figure.name == name) return figure;
  }
  ADD_FAILURE() << "no figure " << name;
  return figures.front();
}

std::set<std::string> names_of(const std::vector<Figure>& figures) {
  std::set<std::string> names;
  for (const Figure& figure : figures) names.insert(figure.name);
  return names;
}

TEST(RoutingFigures, AreAllThereAndWellFormedForAnyModel) {
  for (const size_t layers : {1U, 2U, 16U}) {
    for (const int64_t experts : {1, 4, 23}) {
      SCOPED_TRACE(std::to_string(layers) + " layers, " + std::to_string(experts) + " experts");
      const RoutingTrace trace = testing::random_trace(layers, experts, std::min<int64_t>(experts, 3));
      const std::vector<Figure> figures = routing_figures(routing_statistics(trace));
      EXPECT_EQ(names_of(figures),
                (std::set<std::string>{"load", "modalities", "depth", "pathways", "paths", "co_activation",
                                       "positions", "benchmarks", "categories"}));
      for (const Figure& figure : figures) {
        EXPECT_FALSE(figure.panels.empty());
        const std::string svg = svg_of(figure_picture(figure));
        EXPECT_EQ(test::fault_in(svg), "") << figure.name;
        EXPECT_THAT(svg, HasSubstr(figure.title));
        EXPECT_EQ(svg.find("nan"), std::string::npos) << figure.name;
      }
    }
  }
}

TEST(RoutingFigures, OfNoTokensAndOfTextAlone) {
  RoutingTrace trace = testing::empty_trace(3, 4, 2);
  for (int pass = 0; pass < 2; ++pass) {
    for (const Figure& figure : routing_figures(routing_statistics(trace)))
      EXPECT_EQ(test::fault_in(svg_of(figure_picture(figure))), "") << figure.name;
    testing::add_sample(trace, "a", "", "");
    testing::add_token(trace, {.id = 1}, {0, 1, 2});
  }
  const std::vector<Figure> figures = routing_figures(routing_statistics(trace));
  EXPECT_THAT(svg_of(figure_picture(named(figures, "load"))), HasSubstr(">none seen<"));
  EXPECT_EQ(names_of(figures).count("benchmarks"), 0U);  // of one there is nothing to compare
}

TEST(RoutingFigures, LoadShowsEveryLayerAndExpertInEveryPanel) {
  const RoutingStatistics statistics = routing_statistics(testing::random_trace(5, 4, 2));
  const std::vector<Figure> figures = routing_figures(statistics);
  const std::string svg = svg_of(figure_picture(named(figures, "load")));
  for (const LayerLoad& layer : statistics.layers) {
    for (size_t e = 0; e < 4; ++e) {
      const std::string tooltip = "<title>" + std::to_string(layer.layer) + ", expert " +
                                  std::to_string(e + 1) + ": " + tick_text(100 * layer.image.first[e]) + "<";
      EXPECT_GE(test::count(svg, tooltip), 1U) << tooltip;
    }
  }
  EXPECT_EQ(test::count(svg, "<title>"), 1 + 3 * 5 * 4U);
  EXPECT_THAT(svg, HasSubstr(">expert 4<"));
}

TEST(RoutingFigures, CoActivationIsShownInPercent) {
  const RoutingStatistics statistics = routing_statistics(testing::random_trace(2, 3, 2));
  const std::vector<Figure> figures = routing_figures(statistics);
  const std::string svg = svg_of(figure_picture(named(figures, "co_activation")));
  char expected[64];
  std::snprintf(expected, sizeof expected, "<title>1, 2: %.1f %%</title>",
                100 * statistics.co_activation[1][0][1]);
  EXPECT_THAT(svg, HasSubstr(expected));
  EXPECT_EQ(test::count(svg, "<title>"), 1 + 2 * 9U);
}

TEST(PanelPicture, IsAsLargeAsItsPanel) {
  const std::vector<Figure> figures = routing_figures(routing_statistics(testing::random_trace(5, 4, 2)));
  const Panel& panel = figures[0].panels[1];
  const Picture picture = panel_picture(panel);
  EXPECT_EQ(picture.width, panel.width);
  EXPECT_EQ(picture.height, panel.height);
  EXPECT_LE(picture.width, 360);  // fits a telephone
  EXPECT_FALSE(png_of(picture).empty());
}

}  // namespace
}  // namespace moellava
