// Tokens sorted into groups: by modality, by benchmark, by where they stand.
#pragma once

#include <string>
#include <vector>

#include "routing/trace.hpp"

namespace moellava {

// G groups, T tokens of a trace.
struct TokenGroups {
  std::vector<std::string> names;  // [G]
  std::vector<size_t> of;          // [T] number of the group
};

// "text" and "image", in this order, also when there is no token of one.
TokenGroups by_modality(const RoutingTrace& trace);
// In the order in which they come; a sample without a category is named by its source alone.
TokenGroups by_source(const RoutingTrace& trace);
TokenGroups by_category(const RoutingTrace& trace);
// By the position in its sample, in at most `bins` equal ranges: "0-39", "40-79", ...
TokenGroups by_position(const RoutingTrace& trace, size_t bins);

}  // namespace moellava
