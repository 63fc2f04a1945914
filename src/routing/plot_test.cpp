#include "routing/plot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace moellava {
namespace {

using testing::HasSubstr;
using testing::Not;

RoutingStatistics made_up(int64_t layers, size_t experts) {
  RoutingStatistics statistics;
  statistics.experts = static_cast<int64_t>(experts);
  statistics.top_k = 2;
  statistics.samples = 1234;
  for (int64_t i = 0; i < layers; ++i) {
    LayerLoad& load = statistics.layers.emplace_back();
    load.layer = 2 * i + 1;
    for (GroupLoad* group : {&load.all, &load.text, &load.image}) {
      group->tokens = 5678;
      group->first.assign(experts, 1.0 / static_cast<double>(experts));
    }
  }
  return statistics;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// Every tag closed in order, attributes quoted, no stray '<' or '&': enough for XML as plain as ours.
std::string fault_in(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&') return "a bare &";
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return "an open tag";
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag.find('<') != std::string::npos) return "a tag within " + name;
    if (count(tag, "\"") % 2 != 0) return "an open quote in " + name;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != name) return "unexpected end of " + name;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : open.back() + " not closed";
}

TEST(LoadPlot, IsWellFormed) {
  for (int64_t layers : {0, 1, 15, 48}) {
    for (size_t experts : {1, 4, 23}) {
      EXPECT_EQ(fault_in(load_plot(made_up(layers, experts))), "")
          << layers << " layers, " << experts << " experts";
    }
  }
  EXPECT_EQ(fault_in("<a><b></a></b>"), "unexpected end of a");
}

TEST(LoadPlot, ShowsEveryLayerAndExpertInEveryPanel) {
  const std::string svg = load_plot(made_up(15, 4));
  for (int layer = 1; layer <= 29; layer += 2) {
    for (int expert = 1; expert <= 4; ++expert) {
      const std::string tooltip =
          "<title>layer " + std::to_string(layer) + ", expert " + std::to_string(expert) + ": 25.0 %</title>";
      EXPECT_EQ(count(svg, tooltip), 3U) << tooltip;
    }
  }
  for (const char* text : {">All tokens<", ">Text<", ">Image<", ">Expert 1<", ">Expert 4<", ">75 %<",
                           ">5,678 tokens<", "top 2 of 4, 1,234 prompts"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, Not(HasSubstr("Expert 5")));
}

TEST(LoadPlot, StacksToTheWholeHeight) {
  RoutingStatistics statistics = made_up(1, 2);
  statistics.layers[0].all.first = {0.25, 0.75};
  const std::string svg = load_plot(statistics);
  // Panels are 200 high and begin at 94: expert 1 in the lowest quarter, expert 2 above it.
  EXPECT_THAT(svg, HasSubstr("y=\"244.00\""));
  EXPECT_THAT(svg, HasSubstr("height=\"50.00\" fill=\"#62a0ca\""));
  EXPECT_THAT(svg, HasSubstr("height=\"150.00\" fill=\"#ffa556\""));
}

TEST(LoadPlot, ThinsLayerNumbersWhenThereIsNoRoom) {
  const std::string svg = load_plot(made_up(48, 4));
  EXPECT_LT(count(svg, "class=\"tick middle\""), 3U * 20U);
  EXPECT_EQ(count(svg, "<title>layer 95, expert 1"), 3U);  // the bars are all there
}

TEST(LoadPlot, SaysWhenAPanelHasNoTokens) {
  RoutingStatistics statistics = made_up(3, 4);
  for (LayerLoad& load : statistics.layers) {
    load.image.tokens = 0;
    load.image.first.assign(4, 0.0);
  }
  const std::string svg = load_plot(statistics);
  EXPECT_THAT(svg, HasSubstr("none seen"));
  EXPECT_EQ(count(svg, "<title>layer 1, expert 1"), 2U);
}

TEST(ExpertColour, FirstFourAreTheOriginalsAndAllDiffer) {
  EXPECT_EQ(expert_colour(0), "#62a0ca");
  EXPECT_EQ(expert_colour(1), "#ffa556");
  EXPECT_EQ(expert_colour(2), "#6bbc6b");
  EXPECT_EQ(expert_colour(3), "#e26868");
  std::set<std::string> colours;
  for (size_t e = 0; e < 32; ++e) colours.insert(expert_colour(e));
  EXPECT_EQ(colours.size(), 32U);
}

}  // namespace
}  // namespace moellava
