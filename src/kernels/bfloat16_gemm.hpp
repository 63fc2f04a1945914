// Products of many rows with bfloat16 weights on processors with AVX512-BF16: the rows are rounded to
// bfloat16 as well, and pairs of products are summed in float32. T rows of x, N outputs, K inputs; everything
// row-major.
#pragma once

#include "kernels/half_matmul.hpp"

namespace moellava {

bool has_avx512_bfloat16();

// Rows of x as multiply_bfloat16() reads them: panels of kRows rows, each of [K / 2, kRows] pairs of
// neighbouring inputs, rounded to nearest, ties to even.
struct PackedPairs {
  static constexpr int64_t kRows = 32;

  int64_t rows = 0;              // T
  int64_t inputs = 0;            // K
  std::vector<uint32_t> values;  // the even input in the lower half; what fills up is zero

  PackedPairs(int64_t row_count, int64_t input_count);
  int64_t panels() const { return (rows + kRows - 1) / kRows; }
  int64_t pairs() const { return (inputs + 1) / 2; }
  // Packs x [T, K] into the panels first <= p < last; several threads may each pack theirs.
  void pack(const float* x, int64_t first, int64_t last);
};

// y = x W^T for the outputs first <= n < last: y [T, N] float32. `weights` are bfloat16. Only where
// has_avx512_bfloat16().
void multiply_bfloat16(const PackedPairs& x, const HalfMatrix& weights, int64_t first, int64_t last,
                       float* y);

}  // namespace moellava
