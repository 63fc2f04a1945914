// Statistics as tables: JSON, CSV, and bars for a terminal. Layers and experts are counted from 1.
#pragma once

#include <string>

#include "base/json.hpp"
#include "routing/statistics.hpp"

namespace moellava {

Json routing_json(const RoutingStatistics& statistics);

// layer,tokens,expert,first_choice_share,choice_share: a row for each layer, group of tokens ("all", "text",
// "image") and expert.
std::string load_csv(const RoutingStatistics& statistics);
// kind,group,layer,expert,tokens,first_choice_share,choice_share: by source, category and position.
std::string groups_csv(const RoutingStatistics& statistics);
// layer,expert,other,token_share
std::string co_activation_csv(const RoutingStatistics& statistics);
// tokens,kind,rank,layer,value: kind "component" with its score and "path" with its expert.
std::string pathways_csv(const RoutingStatistics& statistics);

// A line of three bars for each layer, each bar `width` characters of expert numbers.
std::string routing_bars(const RoutingStatistics& statistics, int width = 24);

}  // namespace moellava
