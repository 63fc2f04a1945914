#include "kernels/bfloat16_gemm.hpp"

#include <bit>
#include <cmath>

#include "kernels/kernel_testing.hpp"

namespace moellava {
namespace {

TEST(PackedPairs, PanelsOfRoundedPairs) {
  std::vector<float> x = random_floats(33 * 3);
  x[0] = std::bit_cast<float>(0x3f808000u);  // ties: to 0x3f80, and to 0x3f82
  x[1] = std::bit_cast<float>(0x3f818000u);
  x[2] = NAN;
  PackedPairs packed(33, 3);
  ASSERT_EQ(packed.panels(), 2);
  packed.pack(x.data(), 0, 2);
  for (size_t t = 0; t < 64; ++t) {
    for (size_t k = 0; k < 4; ++k) {
      const uint32_t pair = packed.values[t / 32 * 64 + k / 2 * 32 + t % 32];
      const float found = widen_one_half(static_cast<uint16_t>(pair >> (k % 2 * 16)), Half::Bfloat16);
      const float value = t < 33 && k < 3 ? x[t * 3 + k] : 0;
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(found));
      } else {
        EXPECT_EQ(found, nearest_bfloat16(value)) << t << " " << k;
      }
    }
  }
}

TEST(Bfloat16Gemm, EqualsTheDefinitionOnRoundedRows) {
  if (!has_avx512_bfloat16()) GTEST_SKIP() << "this processor has no AVX512-BF16";
  for (const int64_t inputs : {1, 17, 300, 2100}) {
    for (const int64_t outputs : {1, 14, 15, 61}) {
      for (const int64_t rows : {1, 31, 33}) {
        const auto values = random_halves(Half::Bfloat16, static_cast<size_t>(outputs * inputs));
        const HalfMatrix weights{values.data(), Half::Bfloat16, outputs, inputs};
        auto x = random_floats(static_cast<size_t>(rows * inputs));
        PackedPairs packed(rows, inputs);
        packed.pack(x.data(), 0, packed.panels());
        std::vector<float> found(static_cast<size_t>(rows * outputs), NAN), expected(found.size());
        multiply_bfloat16(packed, weights, 0, outputs, found.data());
        for (float& value : x) value = nearest_bfloat16(value);
        multiply_half_naive(x.data(), rows, weights, expected.data());
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_NEAR(found[i], expected[i], 1e-6 * static_cast<double>(inputs))
              << inputs << " inputs, " << outputs << " outputs, " << rows << " rows, value " << i;
        }
      }
    }
  }
}

TEST(Bfloat16Gemm, WritesOnlyTheOutputsAskedFor) {
  if (!has_avx512_bfloat16()) GTEST_SKIP() << "this processor has no AVX512-BF16";
  const auto values = random_halves(Half::Bfloat16, 80 * 32);
  const HalfMatrix weights{values.data(), Half::Bfloat16, 80, 32};
  const auto x = random_floats(5 * 32);
  PackedPairs packed(5, 32);
  packed.pack(x.data(), 0, packed.panels());
  std::vector<float> found(5 * 80, -99);
  multiply_bfloat16(packed, weights, 3, 65, found.data());
  for (size_t i = 0; i < found.size(); ++i) {
    const bool asked = i % 80 >= 3 && i % 80 < 65;
    EXPECT_EQ(found[i] == -99, !asked) << i;
  }
}

}  // namespace
}  // namespace moellava
