#include "nn/norm.hpp"

namespace moellava {

Norm::Norm(NormKind norm_kind, int64_t width, double epsilon)
    : kind(norm_kind), eps(epsilon), weight(new_parameter({width}, 1)) {
  if (kind == NormKind::Layer) bias = new_parameter({width}, 0);
}

at::Tensor Norm::operator()(const at::Tensor& x) const {
  if (kind == NormKind::Layer) return at::layer_norm(x, weight.sizes(), weight, bias, eps);
  // As in Llama: normalise in fp32, cast back, then scale.
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return (wide * scale).to(x.scalar_type()) * weight;
}

void Norm::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visitor(prefix + ".weight", weight);
  if (bias.defined()) visitor(prefix + ".bias", bias);
}

}  // namespace moellava
