// Statistics as charts: each figure a title, what it means, and small panels that stand side by side where
// there is room and below each other on a telephone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "draw/axis.hpp"
#include "draw/picture.hpp"
#include "routing/statistics.hpp"

namespace moellava {

struct Panel {
  std::string name;
  double width = 0;
  double height = 0;
  std::function<void(Picture& picture, const Box& box)> draw;
};

struct Figure {
  std::string name;  // of its file: "load"
  std::string title;
  std::string short_title;  // for a menu
  std::string meaning;      // a sentence or two
  std::vector<LegendEntry> legend;
  std::vector<Panel> panels;
};

// All that the statistics give reason for, for any number of layers, experts and choices: the load; text and
// image within each expert; what changes with depth; the paper's pathways; the plain paths; co-activation;
// benchmarks and kinds of question, where there are several; positions.
std::vector<Figure> routing_figures(const RoutingStatistics& statistics);

// One panel by itself, for the page.
Picture panel_picture(const Panel& panel);
// The whole figure, its panels in rows.
Picture figure_picture(const Figure& figure);

}  // namespace moellava
