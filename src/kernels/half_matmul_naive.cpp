// By the definition; and the choice of instruction sets, for tests.
#include <hwy/highway.h>

#include <bit>
#include <cmath>
#include <stdexcept>

#include "kernels/half_matmul.hpp"

namespace moellava {

float widen_one_half(uint16_t value, Half format) {
  if (format == Half::Bfloat16) return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
  const int exponent = value >> 10 & 31;
  const int fraction = value & 1023;
  const float sign = value >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

void multiply_half_naive(const float* x, int64_t rows, const HalfMatrix& weights, float* y) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t n = 0; n < weights.outputs; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < weights.inputs; ++k) {
        sum += x[t * weights.inputs + k] *
               widen_one_half(weights.values[n * weights.inputs + k], weights.format);
      }
      y[t * weights.outputs + n] = sum;
    }
  }
}

std::vector<std::string> kernel_targets() {
  std::vector<std::string> names;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets())
    names.emplace_back(hwy::TargetName(target));
  return names;
}

UseKernelTarget::UseKernelTarget(const std::string& name) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (hwy::TargetName(target) != name) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return;
  }
  throw std::invalid_argument("kernel target " + name + " is not on this processor");
}

UseKernelTarget::~UseKernelTarget() {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace moellava
