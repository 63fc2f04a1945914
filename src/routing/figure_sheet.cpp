// Panels put together to pictures.
#include <algorithm>
#include <sstream>

#include "routing/figures.hpp"

namespace moellava {

namespace {

// Pixels.
constexpr double kWidest = 1110;
constexpr double kMargin = 18;
constexpr double kGap = 16;
constexpr double kTitleSize = 17;
constexpr double kMeaningSize = 12;
constexpr double kMeaningLine = 17;
constexpr double kLetterWidth = 6.1;  // of the meaning, on average

// Where each panel stands below and right of (0, 0), and how large all together are.
struct Rows {
  std::vector<Point> places;
  double width = 0;
  double height = 0;
};

Rows lay_out(const std::vector<Panel>& panels) {
  Rows rows;
  double x = 0, y = 0, row_height = 0;
  for (const Panel& panel : panels) {
    if (x > 0 && x + panel.width > kWidest - 2 * kMargin) {
      x = 0;
      y += row_height + kGap;
      row_height = 0;
    }
    rows.places.push_back({x, y});
    row_height = std::max(row_height, panel.height);
    rows.width = std::max(rows.width, x + panel.width);
    x += panel.width + kGap;
  }
  rows.height = y + row_height;
  return rows;
}

std::vector<std::string> wrapped(const std::string& text, double width) {
  const auto most = static_cast<size_t>(width / kLetterWidth);
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > most) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

}  // namespace

Picture panel_picture(const Panel& panel) {
  Picture picture{.width = panel.width, .height = panel.height, .title = panel.name, .shapes = {}};
  panel.draw(picture, {0, 0, panel.width, panel.height});
  return picture;
}

Picture figure_picture(const Figure& figure) {
  const Rows rows = lay_out(figure.panels);
  const double width = std::max(rows.width, 500.0);
  Picture picture{.width = width + 2 * kMargin, .height = 0, .title = figure.title, .shapes = {}};
  double y = kMargin + kTitleSize;
  picture.add(Text{.at = {kMargin, y}, .text = figure.title, .size = kTitleSize, .bold = true});
  y += 6;
  for (const std::string& line : wrapped(figure.meaning, width)) {
    y += kMeaningLine;
    picture.add(Text{.at = {kMargin, y}, .text = line, .size = kMeaningSize, .colour = ink::kNote});
  }
  y += kGap;
  y += draw_legend(picture, {kMargin, y, width, 0}, figure.legend) + (figure.legend.empty() ? 0 : 6);
  for (size_t i = 0; i < figure.panels.size(); ++i) {
    const Panel& panel = figure.panels[i];
    panel.draw(picture, {kMargin + rows.places[i].x, y + rows.places[i].y, panel.width, panel.height});
  }
  picture.height = y + rows.height + kMargin;
  return picture;
}

}  // namespace moellava
