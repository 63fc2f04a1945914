// Products of many rows with weights that stay in their 16-bit form: a prompt, or the tokens of one expert.
// Sums in float32; the widest vectors that the processor has are chosen at run time (Highway). T rows of x, N
// outputs, K inputs; everything row-major.
#pragma once

#include "kernels/half_matmul.hpp"

namespace moellava {

// Rows of x as multiply_half_packed() reads them: panels of a few rows each, transposed, so that one vector
// holds one input of many rows. Packing costs as much as the product with one or two outputs, and serves all
// of them.
struct PackedRows {
  int64_t rows = 0;           // T
  int64_t inputs = 0;         // K
  std::vector<float> values;  // panels of [K, panel rows], the last one filled up with zeros

  PackedRows(int64_t row_count, int64_t input_count);
  int64_t panels() const;
  // Packs x [T, K] into the panels first <= p < last; several threads may each pack theirs.
  void pack(const float* x, int64_t first, int64_t last);
};

// y = x W^T for the outputs first <= n < last: y [T, N]. Weights are widened once, a block that the cache
// holds at a time, and used for all rows.
void multiply_half_packed(const PackedRows& x, const HalfMatrix& weights, int64_t first, int64_t last,
                          float* y);

}  // namespace moellava
