// What the tests of all kernels with 16-bit weights share: every instruction set times both formats.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "kernels/half_matmul.hpp"

namespace moellava {

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

inline std::vector<float> random_floats(size_t count) {
  std::vector<float> values(count);
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& value : values) value = uniform(random);
  return values;
}

}  // namespace moellava
