// The kinds of panel that the figures are made of. Only figures.cpp needs it.
#pragma once

#include <string>
#include <vector>

#include "routing/figures.hpp"

namespace moellava {

// "1", "3", ...: the layers' numbers.
std::vector<std::string> layer_names(const RoutingStatistics& statistics);
// "expert 1" in its colour, for every expert.
std::vector<LegendEntry> expert_legend(int64_t experts);

// A column for each of `columns`, in it every expert's share of the first choices, in percent. `loads` are
// those of the columns; an empty column has no tokens.
Panel load_panel(const std::string& name, const std::string& note, const std::string& x_label,
                 const std::vector<std::string>& columns, const std::vector<const GroupLoad*>& loads,
                 int64_t experts);

// A cell for each value, from white at 0 to the darkest at `high`; names of rows and columns beside it.
struct HeatMap {
  std::string name;
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  std::vector<std::vector<double>> values;  // [rows][columns]
  double high = 1;
  std::string unit;  // behind the value in its tooltip
  double cell = 26;  // pixels
};
Panel heat_panel(HeatMap map);

// Curves over the layers from expert to expert (the paper's figure 6): the first two stand out.
Panel pathway_panel(const std::string& name, const Pathways& pathways, const RoutingStatistics& statistics,
                    const std::vector<std::string>& colours);
// What share of the tokens goes from each expert to each of the next layer, and the most travelled path.
Panel flow_panel(const std::string& name, const Pathways& pathways, const RoutingStatistics& statistics,
                 const std::string& colour);

}  // namespace moellava
