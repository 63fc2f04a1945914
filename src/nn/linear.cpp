#include "nn/linear.hpp"

#include "base/random.hpp"
#include "nn/half_linear.hpp"
#include "nn/precision.hpp"

namespace moellava {

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool half = weight.scalar_type() == at::kBFloat16 || weight.scalar_type() == at::kHalf;
  if (half && !weight.is_cpu()) {
    const at::Tensor own = bias.defined() ? bias.to(weight.scalar_type()) : bias;
    return at::linear(x.to(weight.scalar_type()), weight, own).to(x.scalar_type());
  }
  const bool rounded = factors_are_rounded(weight);
  if (!half && !rounded) return at::linear(x, weight, bias);
  const at::Tensor y = half ? half_linear(x, weight) : rounded_linear(x, weight);
  return bias.defined() ? y + bias : y;
}

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(new_parameter({out, in})) {
  if (with_bias) bias = new_parameter({out});
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const at::Tensor y = apply_linear(x, weight, bias);
  return low_rank ? y + (*low_rank)(x) : y;
}

void Linear::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visitor(prefix + ".weight", weight);
  if (bias.defined()) visitor(prefix + ".bias", bias);
  if (low_rank) low_rank->visit(prefix, visitor);
}

void fill_uniform(at::Tensor& tensor, double bound, uint64_t seed, uint64_t stream) {
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>((2 * random_unit(seed, stream, static_cast<uint64_t>(i)) - 1) * bound);
  }
}

}  // namespace moellava
