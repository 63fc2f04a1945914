// All of a trace in one HTML file that needs no network: the figures, and questions to walk through.
#pragma once

#include <span>
#include <string>

#include "routing/figures.hpp"
#include "routing/sample_view.hpp"

namespace moellava {

// `views` are the questions that can be looked at, their pictures within the page.
std::string routing_page(const RoutingTrace& trace, const RoutingStatistics& statistics,
                         std::span<const Figure> figures, std::span<const SampleView> views);

}  // namespace moellava
