#include "kernels/half_matmul.hpp"

#include <bit>
#include <cmath>

#include "kernels/kernel_testing.hpp"

namespace moellava {
namespace {

using HalfMatmul = HalfKernelTest;

TEST_P(HalfMatmul, EqualsTheDefinitionForAllTails) {
  for (const int64_t inputs : {1, 3, 15, 16, 17, 64, 100, 257}) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 9}) {
      const int64_t outputs = 7;
      const auto values = random_halves(GetParam().format, static_cast<size_t>(outputs * inputs));
      const HalfMatrix weights{values.data(), GetParam().format, outputs, inputs};
      const auto x = random_floats(static_cast<size_t>(rows * inputs));
      std::vector<float> expected(static_cast<size_t>(rows * outputs));
      std::vector<float> found(expected.size(), NAN);
      multiply_half_naive(x.data(), rows, weights, expected.data());
      multiply_half(x.data(), rows, weights, 0, outputs, found.data());
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], 1e-6 * static_cast<double>(inputs))
            << inputs << " inputs, value " << i;
      }
    }
  }
}

TEST_P(HalfMatmul, WritesOnlyTheOutputsAskedFor) {
  const auto values = random_halves(GetParam().format, 10 * 32);
  const HalfMatrix weights{values.data(), GetParam().format, 10, 32};
  const auto x = random_floats(2 * 32);
  std::vector<float> found(2 * 10, -99);
  multiply_half(x.data(), 2, weights, 3, 5, found.data());
  for (size_t i = 0; i < found.size(); ++i) {
    const bool asked = i % 10 >= 3 && i % 10 < 5;
    EXPECT_EQ(found[i] == -99, !asked) << i;
  }
}

// Every 16-bit pattern: zeros, subnormals, infinities and NaN included.
TEST_P(HalfMatmul, WidensEveryValueExactly) {
  const bool before_avx2 = GetParam().format == Half::Float16 && !GetParam().target.starts_with("AVX");
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  for (const size_t count : {all.size(), size_t{5}}) {
    std::vector<float> out(count);
    widen_half(all.data(), GetParam().format, static_cast<int64_t>(count), out.data());
    for (size_t i = 0; i < count; ++i) {
      const float expected = widen_one_half(all[i], GetParam().format);
      if (!std::isfinite(expected) && before_avx2) continue;
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected)) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTargets, HalfMatmul, testing::ValuesIn(half_kernel_cases()), half_kernel_name);

TEST(KernelTargets, AnUnknownOneIsRefused) {
  EXPECT_ANY_THROW(UseKernelTarget("ABACUS"));
  EXPECT_FALSE(kernel_targets().empty());
}

}  // namespace
}  // namespace moellava
