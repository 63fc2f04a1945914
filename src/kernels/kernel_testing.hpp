// What the tests of kernels share: every instruction set, times both formats where weights have 16 bits.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/half_matmul.hpp"

namespace moellava {

class KernelTest : public testing::TestWithParam<std::string> {
 protected:
  const UseKernelTarget use_{GetParam()};
};

inline std::string kernel_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

struct HalfKernelCase {
  std::string target;
  Half format;
};

inline std::vector<HalfKernelCase> half_kernel_cases() {
  std::vector<HalfKernelCase> all;
  for (const std::string& target : kernel_targets()) {
    for (const Half format : {Half::Bfloat16, Half::Float16}) all.push_back({target, format});
  }
  return all;
}

inline std::string half_kernel_name(const testing::TestParamInfo<HalfKernelCase>& info) {
  return info.param.target + (info.param.format == Half::Bfloat16 ? "_bfloat16" : "_float16");
}

class HalfKernelTest : public testing::TestWithParam<HalfKernelCase> {
 protected:
  const UseKernelTarget use_{GetParam().target};
};

// Finite values of both signs and many magnitudes: exponents near one.
inline std::vector<uint16_t> random_halves(Half format, size_t count) {
  std::vector<uint16_t> values(count);
  std::mt19937_64 random(1);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bits = random();
    const uint64_t sign = bits & 0x8000;
    const uint64_t small = bits >> 16;
    values[i] =
        static_cast<uint16_t>(format == Half::Bfloat16 ? sign | (120 + small % 8) << 7 | (small >> 8 & 127)
                                                       : sign | (8 + small % 8) << 10 | (small >> 8 & 1023));
  }
  return values;
}

// The nearest of the two neighbours that bfloat16 has, the even one when both are as near; not for NaN.
inline float nearest_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t below = bits & 0xffff0000U, rest = bits & 0xffffU;
  const bool up = rest > 0x8000U || (rest == 0x8000U && (below & 0x10000U) != 0);
  return std::bit_cast<float>(up ? below + 0x10000U : below);
}

inline std::vector<float> random_floats(size_t count) {
  std::vector<float> values(count);
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& value : values) value = uniform(random);
  return values;
}

}  // namespace moellava
