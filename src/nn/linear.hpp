// y = x W^T + b, and what a low-rank adapter adds.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "nn/low_rank.hpp"
#include "nn/parameter.hpp"

namespace moellava {

// The weight may be float32, or bfloat16 or float16 for inference (nn/half_linear.hpp); `bias` may be
// undefined.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined when there is none
  std::optional<LowRank> low_rank = {};

  Linear() = default;
  // Memory is reserved, not initialised: weights come from a file or from an initialiser.
  Linear(int64_t in, int64_t out, bool with_bias);

  at::Tensor operator()(const at::Tensor& x) const;  // [..., in] -> [..., out]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

// How a module shows those of its linear layers that an adapter can stand beside, by name.
using LinearVisitor = std::function<void(const std::string& name, Linear& linear)>;

// Uniform in [-bound, bound), drawn from (seed, stream). torch.nn.Linear's default is bound = 1 / sqrt(in)
// for weight and bias.
void fill_uniform(at::Tensor& tensor, double bound, uint64_t seed, uint64_t stream);

}  // namespace moellava
