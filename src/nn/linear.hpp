// y = x W^T + b.
#pragma once

#include "nn/parameter.hpp"

namespace moellava {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined when there is none

  Linear() = default;
  // Memory is reserved, not initialised: weights come from a file or from an initialiser.
  Linear(int64_t in, int64_t out, bool with_bias);

  at::Tensor operator()(const at::Tensor& x) const;  // [..., in] -> [..., out]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

// torch.nn.Linear's default: U(-1/sqrt(in), 1/sqrt(in)) for weight and bias, drawn from (seed, stream).
void initialise_uniform(Linear& linear, uint64_t seed, uint64_t stream);

}  // namespace moellava
