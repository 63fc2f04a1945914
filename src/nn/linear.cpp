#include "nn/linear.hpp"

#include "base/random.hpp"
#include "nn/half_linear.hpp"

namespace moellava {

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (weight.scalar_type() != at::kBFloat16 && weight.scalar_type() != at::kHalf)
    return at::linear(x, weight, bias);
  const at::Tensor y = half_linear(x, weight);
  return bias.defined() ? y + bias : y;
}

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(new_parameter({out, in})) {
  if (with_bias) bias = new_parameter({out});
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return apply_linear(x, weight, bias);
}

void Linear::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visitor(prefix + ".weight", weight);
  if (bias.defined()) visitor(prefix + ".bias", bias);
}

void fill_uniform(at::Tensor& tensor, double bound, uint64_t seed, uint64_t stream) {
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>((2 * random_unit(seed, stream, static_cast<uint64_t>(i)) - 1) * bound);
  }
}

}  // namespace moellava
