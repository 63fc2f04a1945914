// Rotary position embedding, NeoX halves: the first `dims` of each head turn, the rest pass through.
#pragma once

#include <ATen/ATen.h>

namespace moellava {

struct RotaryConfig {
  int64_t dims = 0;  // even; head_dim * rotary_fraction
  double theta = 10000;
};

// Angles of positions [first, first + count), shared by all layers of a pass.
struct RotaryTable {
  at::Tensor cos;  // [count, dims]
  at::Tensor sin;  // [count, dims]
};
RotaryTable rotary_table(const RotaryConfig& config, int64_t first, int64_t count);

at::Tensor rotate(const at::Tensor& x,
                  const RotaryTable& table);  // [B, heads, count, head_dim], same shape out

}  // namespace moellava
