#include "nn/low_rank.hpp"

#include <ATen/core/grad_mode.h>

#include "nn/linear.hpp"

namespace moellava {

at::Tensor LowRank::operator()(const at::Tensor& x) const {
  const at::Tensor input = dropout != nullptr ? drop_values(x, *dropout, stream) : x;
  return apply_linear(apply_linear(input, a), b) * scale;
}

at::Tensor LowRank::product() const {
  const at::NoGradGuard no_grad;
  return at::matmul(b.to(at::kFloat), a.to(at::kFloat)) * scale;
}

void LowRank::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  if (!shares_a) visitor(prefix + ".lora_A.weight", a);
  visitor(prefix + ".lora_B.weight", b);
}

bool is_low_rank_parameter(const std::string& name) {
  return name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight");
}

}  // namespace moellava
