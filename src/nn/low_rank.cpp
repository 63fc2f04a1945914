#include "nn/low_rank.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "base/random.hpp"
#include "nn/linear.hpp"

namespace moellava {

namespace {

constexpr int64_t kGrain = 1 << 14;  // values that are worth a thread

}  // namespace

at::Tensor drop_values(const at::Tensor& x, const LowRankDropout& dropout, uint64_t stream) {
  at::Tensor factors = at::empty(x.sizes(), at::kFloat);
  float* values = factors.data_ptr<float>();
  const auto kept = static_cast<float>(1 / (1 - dropout.probability));
  at::parallel_for(0, factors.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double drawn = random_unit(dropout.key, stream, static_cast<uint64_t>(i));
      values[i] = drawn < dropout.probability ? 0.0f : kept;
    }
  });
  return x * factors.to(x.scalar_type());
}

at::Tensor LowRank::operator()(const at::Tensor& x) const {
  const bool drops = dropout != nullptr && dropout->probability > 0;
  const at::Tensor input = drops ? drop_values(x, *dropout, stream) : x;
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
