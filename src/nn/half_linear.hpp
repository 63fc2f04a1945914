// x W^T with weights that stay bfloat16 or float16 in memory, for inference: nothing is tracked by autograd.
#pragma once

#include <ATen/ATen.h>

namespace moellava {

// x [..., K] float32, weight [N, K] bfloat16 or float16 -> [..., N] float32, sums in float32.
// Few rows: the kernels of kernels/half_matmul, bound by memory. Many rows: a panel of weights at a time is
// widened to float32 and multiplied by libtorch, in bfloat16 while a Bfloat16Products lives.
at::Tensor half_linear(const at::Tensor& x, const at::Tensor& weight);

}  // namespace moellava
