// Who carries which share of the tokens, how sure the routers are, what is lost. E experts, K choices a
// token.
#pragma once

#include <vector>

#include "routing/groups.hpp"
#include "routing/trace.hpp"

namespace moellava {

// One group of tokens in one layer.
struct GroupLoad {
  int64_t tokens = 0;
  std::vector<double> first;   // [E] share of the first choices, sums to 1; zeros when there are no tokens
  std::vector<double> chosen;  // [E] share of all choices, dropped ones too, likewise
  double entropy_bits = 0;     // of the router's softmax, mean over the tokens; log2 E when undecided
  double dropped = 0;          // share of the choices that found their expert full
  // The loss that training holds down: E * sum over experts of mean probability * share of first choices. 1
  // when balanced, E when one expert gets everything; 0 when there are no tokens.
  double balance_loss = 0;
};

// [G][L]
std::vector<std::vector<GroupLoad>> loads_of(const RoutingTrace& trace, const TokenGroups& groups);

// Total variation distance of the first choices: the share of the tokens of one that would have to go
// elsewhere to be routed as the other; 0 when either has no tokens.
double routing_distance(const GroupLoad& a, const GroupLoad& b);

}  // namespace moellava
