#include "nn/dropout.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/random.hpp"

namespace moellava {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 1 << 14;  // values that are worth a thread

// 0 or 1 / (1 - probability) for each value of x.
at::Tensor factors(const at::Tensor& x, const Dropout& dropout, uint64_t stream) {
  at::Tensor result = at::empty(x.sizes(), at::kFloat);
  float* values = result.data_ptr<float>();
  const auto kept = static_cast<float>(1 / (1 - dropout.probability));
  at::parallel_for(0, result.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double drawn = random_unit(dropout.key, stream, static_cast<uint64_t>(i));
      values[i] = drawn < dropout.probability ? 0.0f : kept;
    }
  });
  return result.to(x.options());
}

struct DropValues : torch::autograd::Function<DropValues> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double probability, int64_t key,
                            int64_t stream) {
    context->saved_data["probability"] = probability;
    context->saved_data["key"] = key;
    context->saved_data["stream"] = stream;
    return x * factors(x, {probability, static_cast<uint64_t>(key)}, static_cast<uint64_t>(stream));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto& saved = context->saved_data;
    const Dropout dropout{.probability = saved["probability"].toDouble(),
                          .key = static_cast<uint64_t>(saved["key"].toInt())};
    const auto stream = static_cast<uint64_t>(saved["stream"].toInt());
    return {gradients[0] * factors(gradients[0], dropout, stream), {}, {}, {}};
  }
};

}  // namespace

at::Tensor drop_values(const at::Tensor& x, const Dropout& dropout, uint64_t stream) {
  if (dropout.probability == 0) return x;
  return DropValues::apply(x, dropout.probability, static_cast<int64_t>(dropout.key),
                           static_cast<int64_t>(stream));
}

}  // namespace moellava
