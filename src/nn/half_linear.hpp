// x W^T with weights that stay bfloat16 or float16 in memory, for inference: nothing is tracked by autograd.
#pragma once

#include <ATen/ATen.h>

namespace moellava {

// x [..., K] float32, weight [N, K] bfloat16 or float16 -> [..., N] float32, sums in float32.
// Few rows: kernels/half_matmul, bound by memory. Many rows: kernels/half_gemm. While bfloat16 products are
// wanted (nn/precision.hpp), many rows are rounded as well: by libtorch with AMX, a panel of weights widened
// at a time; by kernels/bfloat16_gemm with AVX512-BF16, for 65,536 weights and more.
at::Tensor half_linear(const at::Tensor& x, const at::Tensor& weight);

}  // namespace moellava
