// Tokens to experts and back, by sorting: no [tokens, experts, capacity] tensor is ever made.
//
//   token      0 1 2 3          rows    0 2 | 1 3 0      (sorted by expert, then slot)
//   experts   ab b a b          expert  a a | b b b
//
// T tokens, K choices, N kept (token, choice) pairs, H width.
#pragma once

#include <vector>

#include "model/moe/router.hpp"

namespace moellava {

struct Dispatch {
  at::Tensor rows;              // [N] int64: the token of each kept pair, sorted by (expert, slot)
  at::Tensor choice;            // [N] int64: its index into the flattened [T, K] weights
  std::vector<int64_t> counts;  // [E]: kept pairs of each expert
};

Dispatch plan_dispatch(const Routing& routing);

// x [T, H] -> [N, H], the rows of each expert together.
at::Tensor dispatch(const Dispatch& plan, const at::Tensor& x);

// y [N, H] -> [T, H]: each token's expert outputs summed by its weights, cast to y's dtype as the original
// does. A token whose every choice was dropped gets zeros.
at::Tensor combine(const Dispatch& plan, const Routing& routing, const at::Tensor& y);

}  // namespace moellava
