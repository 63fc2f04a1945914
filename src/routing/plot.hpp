// The expert load as a picture.
#pragma once

#include <string>

#include "routing/statistics.hpp"

namespace moellava {

// A self-contained SVG, 800 wide: for all tokens, text and image one panel each of stacked bars, a bar a
// layer, a colour an expert; shares of the first choices. For any number of layers and experts.
std::string load_plot(const RoutingStatistics& statistics);

// "#62a0ca" of expert 0, the colours of the original for the first four.
std::string expert_colour(size_t expert);

}  // namespace moellava
