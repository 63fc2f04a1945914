// Which experts work on the same tokens.
#pragma once

#include <vector>

#include "routing/trace.hpp"

namespace moellava {

// [E][E] of one layer: the share of its tokens that chose both experts, whichever first and dropped or not;
// on the diagonal those that chose the expert at all. All zero off the diagonal when a token has one choice.
using CoActivation = std::vector<std::vector<double>>;

// [L]
std::vector<CoActivation> co_activation(const RoutingTrace& trace);

}  // namespace moellava
