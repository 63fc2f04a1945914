#include "kernels/rounding.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/kernel_testing.hpp"

namespace moellava {
namespace {

using Rounding = KernelTest;

TEST_P(Rounding, GoesToTheNearestAndTiesToEven) {
  std::vector<float> values = random_floats(1000);
  for (const uint32_t upper : {0x0000U, 0x3f80U, 0x3f81U, 0x3fffU, 0x7f7fU, 0x0001U}) {
    for (const uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      for (const uint32_t sign : {0U, 0x80000000U})
        values.push_back(std::bit_cast<float>(sign | upper << 16 | lower));
    }
  }
  values.push_back(INFINITY);
  std::vector<float> found(values.size() + 1, -99);
  round_to_bfloat16(values.data(), static_cast<int64_t>(values.size()), found.data());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(nearest_bfloat16(values[i])))
        << values[i];
  EXPECT_EQ(found.back(), -99);
}

TEST_P(Rounding, NanStaysNan) {
  const uint32_t patterns[] = {0x7fc00000U, 0x7f800001U, 0xffffffffU, 0x7fffffffU};
  for (const uint32_t pattern : patterns) {
    float value = std::bit_cast<float>(pattern);
    round_to_bfloat16(&value, 1, &value);
    EXPECT_TRUE(std::isnan(value)) << pattern;
  }
}

INSTANTIATE_TEST_SUITE_P(AllTargets, Rounding, testing::ValuesIn(kernel_targets()), kernel_name);

}  // namespace
}  // namespace moellava
