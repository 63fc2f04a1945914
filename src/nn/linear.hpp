// y = x W^T + b.
#pragma once

#include "nn/parameter.hpp"

namespace moellava {

// The weight may be float32, or bfloat16 or float16 for inference (nn/half_linear.hpp); `bias` may be
// undefined.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined when there is none

  Linear() = default;
  // Memory is reserved, not initialised: weights come from a file or from an initialiser.
  Linear(int64_t in, int64_t out, bool with_bias);

  at::Tensor operator()(const at::Tensor& x) const;  // [..., in] -> [..., out]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

// Uniform in [-bound, bound), drawn from (seed, stream). torch.nn.Linear's default is bound = 1 / sqrt(in)
// for weight and bias.
void fill_uniform(at::Tensor& tensor, double bound, uint64_t seed, uint64_t stream);

}  // namespace moellava
