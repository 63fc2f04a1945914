// In what precision the matrix products of float32 tensors are computed.
#pragma once

#include "nn/parameter.hpp"

namespace moellava {

// Whether the processor has matrix products of bfloat16 that libtorch uses for float32 tensors (AMX).
bool has_bfloat16_products();

// While it lives, matrix products may round their factors to bfloat16; sums, results and everything else stay
// float32. Where the processor has no such instructions only linear layers in training do (rounded_linear);
// AVX512-BF16 without AMX serves only weights that are bfloat16 themselves (nn/half_linear.hpp). One at a
// time in a process.
class Bfloat16Products {
 public:
  explicit Bfloat16Products(bool wanted);
  ~Bfloat16Products();
  Bfloat16Products(const Bfloat16Products&) = delete;
  Bfloat16Products& operator=(const Bfloat16Products&) = delete;
};

// Whether one lives that was wanted, on whatever processor.
bool bfloat16_products_wanted();

// Whether products of such weights with what is trained are to be of rounded factors that we round ourselves.
bool factors_are_rounded(const at::Tensor& weight);
// A float32 tensor's values rounded to bfloat16, float32 and contiguous.
at::Tensor rounded_to_bfloat16(const at::Tensor& tensor);

// x W^T of factors rounded to bfloat16, summed in float32, and its gradients likewise: what processors with
// bfloat16 products compute, for those without, a little slower than in float32. x [..., in], weight
// [out, in] -> [..., out], all float32. Nothing rounded is kept for the backward pass.
at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight);

// x W^T in float32 always, and so its gradients: x [T, in], weight [out, in] -> [T, out].
at::Tensor exact_linear(const at::Tensor& x, const at::Tensor& weight);

}  // namespace moellava
