#include "nn/linear.hpp"

#include <cmath>

#include "base/random.hpp"

namespace moellava {

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(at::empty({out, in})) {
  if (with_bias) bias = at::empty({out});
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

void Linear::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visitor(prefix + ".weight", weight);
  if (bias.defined()) visitor(prefix + ".bias", bias);
}

void initialise_uniform(Linear& linear, uint64_t seed, uint64_t stream) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(linear.weight.size(1)));
  uint64_t counter = 0;
  auto fill = [&](at::Tensor& tensor) {
    float* values = tensor.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      values[i] = static_cast<float>((2 * random_unit(seed, stream, counter++) - 1) * bound);
    }
  };
  fill(linear.weight);
  if (linear.bias.defined()) fill(linear.bias);
}

}  // namespace moellava
