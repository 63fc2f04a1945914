// Rotary position embedding, NeoX halves: the first `dims` of each head turn, the rest pass through.
#pragma once

#include <ATen/ATen.h>

namespace moellava {

struct RotaryConfig {
  int64_t dims = 0;  // even; head_dim * rotary_fraction
  double theta = 10000;
};

// Angles of the positions of a pass, shared by all of its layers.
struct RotaryTable {
  at::Tensor cos;          // [count, dims], or [B, 1, count, dims] where the samples of a batch differ
  at::Tensor sin;          // likewise
  at::Tensor query_scale;  // [..., count, 1] of the turned queries, or undefined: see logn_scale
};
RotaryTable rotary_table(const RotaryConfig& config, const at::Tensor& positions);   // [count]
RotaryTable rotary_table(const RotaryConfig& config, int64_t first, int64_t count);  // first, first + 1, ...

// Dynamic NTK: a context longer than `native`, the length a model was trained at, turns all of its positions
// slower. Its theta; the model's own one up to that length.
double dynamic_ntk_theta(const RotaryConfig& config, int64_t length, int64_t native);
// Logn attention: the n-th position (from 1) scales its query by log n / log `native` when n > `native`, so
// that attention stays sharp over more keys. `positions` [...], from 0 -> [..., 1], or undefined when none of
// them does.
at::Tensor logn_scale(const at::Tensor& positions, int64_t native);

at::Tensor rotate(const at::Tensor& x,
                  const RotaryTable& table);  // [B, heads, count, head_dim], same shape out

}  // namespace moellava
