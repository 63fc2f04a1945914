#include "routing/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/string_printf.hpp"

namespace moellava {

namespace {

// Pixels of the finished picture.
constexpr double kWidth = 800;
constexpr double kLeft = 56;  // room for the percentages
constexpr double kRight = 18;
constexpr double kPanelTop = 94;
constexpr double kPanelHeight = 200;
constexpr double kPanelGap = 20;
constexpr double kPanelWidth = (kWidth - kLeft - kRight - 2 * kPanelGap) / 3;
constexpr double kAxisHeight = 50;  // layer numbers and the word below them
constexpr double kLegendRow = 22;
constexpr double kLegendItem = 90;
constexpr double kLabelSpace = 19;  // narrowest distance of two layer numbers
constexpr double kBarShare = 0.8;   // of the room a layer has
constexpr double kWidestBar = 44;

constexpr const char* kStyle =
    "text{font-family:system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif;fill:#24292f}"
    ".title{font-size:17px;font-weight:600}"
    ".note,.tick,.axis{font-size:11.5px;fill:#656d76}"
    ".panel{font-size:13px;font-weight:600}"
    ".legend{font-size:12.5px}"
    ".middle{text-anchor:middle}.end{text-anchor:end}"
    ".guide{stroke:#24292f;stroke-opacity:.45;stroke-width:1;stroke-dasharray:4 3}"
    ".base{stroke:#8c959f;stroke-width:1}";

double y_of(double share) {
  return kPanelTop + kPanelHeight * (1 - share);
}

std::string text_at(double x, double y, const char* classes, const std::string& text) {
  return string_printf("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, classes, text.c_str());
}

std::string line(double x1, double x2, double y, const char* classes) {
  return string_printf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, x2, y, y,
                       classes);
}

// 1234567 -> "1,234,567"
std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

struct Panel {
  const char* name;
  GroupLoad LayerLoad::*load;
};
constexpr std::array<Panel, 3> kPanels = {
    {{"All tokens", &LayerLoad::all}, {"Text", &LayerLoad::text}, {"Image", &LayerLoad::image}}};

std::string stacked_bar(const GroupLoad& load, int64_t layer, double x, double width) {
  std::string svg;
  double below = 0;
  for (size_t e = 0; e < load.first.size(); ++e) {
    const double share = load.first[e];
    // A tooltip in browsers; also where a reader of the file finds the number.
    svg += string_printf(
        "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\">"
        "<title>layer %d, expert %zu: %.1f %%</title></rect>\n",
        x, y_of(below + share), width, kPanelHeight * share, expert_colour(e).c_str(),
        static_cast<int>(layer), e + 1, 100 * share);
    below += share;
  }
  return svg;
}

std::string panel(const RoutingStatistics& statistics, const Panel& which, double left) {
  const size_t layers = statistics.layers.size();
  const double room = kPanelWidth / static_cast<double>(std::max<size_t>(layers, 1));
  const auto label_step = static_cast<size_t>(std::ceil(kLabelSpace / room));
  const int64_t tokens = layers > 0 ? (statistics.layers[0].*which.load).tokens : 0;

  std::string svg = "<g aria-label=\"" + std::string(which.name) + "\">\n";
  svg += text_at(left, kPanelTop - 12, "panel", which.name);
  svg += text_at(left + kPanelWidth, kPanelTop - 12, "note end", grouped(tokens) + " tokens");
  if (tokens == 0) {
    svg += text_at(left + kPanelWidth / 2, y_of(0.5) - 8, "note middle", "none seen");
  }
  for (size_t i = 0; i < layers; ++i) {
    const LayerLoad& load = statistics.layers[i];
    const double middle = left + room * (static_cast<double>(i) + 0.5);
    if (tokens > 0) {
      const double width = std::min(room * kBarShare, kWidestBar);
      svg += stacked_bar(load.*which.load, load.layer, middle - width / 2, width);
    }
    if (i % label_step == 0) svg += text_at(middle, y_of(0) + 16, "tick middle", std::to_string(load.layer));
  }
  for (double share : {0.25, 0.5, 0.75}) svg += line(left, left + kPanelWidth, y_of(share), "guide");
  svg += line(left, left + kPanelWidth, y_of(0), "base");
  svg += text_at(left + kPanelWidth / 2, y_of(0) + 34, "axis middle", "layer");
  return svg + "</g>\n";
}

std::string percentages() {
  std::string svg;
  for (int percent : {0, 25, 50, 75, 100}) {
    svg += text_at(kLeft - 8, y_of(percent / 100.0) + 4, "tick end", std::to_string(percent) + " %");
  }
  return svg;
}

size_t legend_columns(size_t experts) {
  return std::min(std::max<size_t>(experts, 1), static_cast<size_t>((kWidth - kLeft - kRight) / kLegendItem));
}

std::string legend(size_t experts, double top) {
  const size_t columns = legend_columns(experts);
  const double panels_middle = (kLeft + kWidth - kRight) / 2;
  const double left = panels_middle - kLegendItem * static_cast<double>(columns) / 2;
  std::string svg;
  for (size_t e = 0; e < experts; ++e) {
    const double x = left + kLegendItem * static_cast<double>(e % columns);
    const size_t row = e / columns;
    const double y = top + kLegendRow * static_cast<double>(row);
    svg += string_printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" rx=\"2.5\" fill=\"%s\"/>\n",
                         x + 4, y, expert_colour(e).c_str());
    svg += text_at(x + 22, y + 10.5, "legend", "Expert " + std::to_string(e + 1));
  }
  return svg;
}

}  // namespace

std::string expert_colour(size_t expert) {
  // The original's four, then the rest of the same series (Tableau's ten at 70 % on white), then hues a
  // golden angle apart.
  constexpr std::array<const char*, 10> series = {"#62a0ca", "#ffa556", "#6bbc6b", "#e26868", "#b495d1",
                                                  "#ae8981", "#eba0d4", "#a5a5a5", "#d0d164", "#5dd1dd"};
  if (expert < series.size()) return series[expert];
  return string_printf("hsl(%.0f,45%%,62%%)", std::fmod(static_cast<double>(expert) * 137.508, 360.0));
}

std::string load_plot(const RoutingStatistics& statistics) {
  const auto experts = static_cast<size_t>(statistics.experts);
  const double legend_top = kPanelTop + kPanelHeight + kAxisHeight;
  const size_t legend_rows = (experts + legend_columns(experts) - 1) / legend_columns(experts);
  const double height = legend_top + kLegendRow * static_cast<double>(legend_rows) + 12;

  std::string svg = string_printf(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
      "role=\"img\">\n<title>Expert load by layer</title>\n<style>%s</style>\n"
      "<rect x=\"0.5\" y=\"0.5\" width=\"%.0f\" height=\"%.0f\" rx=\"8\" fill=\"#ffffff\" "
      "stroke=\"#d0d7de\"/>\n",
      kWidth, height, kWidth, height, kStyle, kWidth - 1, height - 1);
  svg += text_at(20, 32, "title", "Expert load by layer");
  svg += text_at(20, 52, "note",
                 "share of the tokens by their first-choice expert; top " + std::to_string(statistics.top_k) +
                     " of " + std::to_string(experts) + ", " + grouped(statistics.samples) +
                     (statistics.samples == 1 ? " prompt" : " prompts"));
  svg += percentages();
  for (size_t i = 0; i < kPanels.size(); ++i)
    svg += panel(statistics, kPanels[i], kLeft + static_cast<double>(i) * (kPanelWidth + kPanelGap));
  return svg + legend(experts, legend_top) + "</svg>\n";
}

}  // namespace moellava
