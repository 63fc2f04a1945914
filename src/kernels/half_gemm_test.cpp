#include "kernels/half_gemm.hpp"

#include <cmath>

#include "kernels/kernel_testing.hpp"

namespace moellava {
namespace {

using HalfGemm = HalfKernelTest;

std::vector<float> multiply(const std::vector<float>& x, int64_t rows, const HalfMatrix& weights) {
  PackedRows packed(rows, weights.inputs);
  packed.pack(x.data(), 0, packed.panels());
  std::vector<float> y(static_cast<size_t>(rows * weights.outputs), NAN);
  multiply_half_packed(packed, weights, 0, weights.outputs, y.data());
  return y;
}

// Rows: parts of a panel, whole ones, a last one of one vector and of two. Outputs: parts of a tile and of a
// block. Inputs: less than a block, one, more.
TEST_P(HalfGemm, EqualsTheDefinitionForAllTails) {
  for (const int64_t inputs : {1, 17, 256, 300}) {
    for (const int64_t outputs : {1, 14, 15, 61}) {
      for (const int64_t rows : {1, 7, 16, 17, 33, 70}) {
        const auto values = random_halves(GetParam().format, static_cast<size_t>(outputs * inputs));
        const HalfMatrix weights{values.data(), GetParam().format, outputs, inputs};
        const auto x = random_floats(static_cast<size_t>(rows * inputs));
        std::vector<float> expected(static_cast<size_t>(rows * outputs));
        multiply_half_naive(x.data(), rows, weights, expected.data());
        const std::vector<float> found = multiply(x, rows, weights);
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_NEAR(found[i], expected[i], 1e-6 * static_cast<double>(inputs))
              << inputs << " inputs, " << outputs << " outputs, " << rows << " rows, value " << i;
        }
      }
    }
  }
}

TEST_P(HalfGemm, WritesOnlyTheOutputsAskedFor) {
  const auto values = random_halves(GetParam().format, 40 * 32);
  const HalfMatrix weights{values.data(), GetParam().format, 40, 32};
  const auto x = random_floats(20 * 32);
  PackedRows packed(20, 32);
  packed.pack(x.data(), 0, packed.panels());
  std::vector<float> found(20 * 40, -99);
  multiply_half_packed(packed, weights, 3, 25, found.data());
  for (size_t i = 0; i < found.size(); ++i) {
    const bool asked = i % 40 >= 3 && i % 40 < 25;
    EXPECT_EQ(found[i] == -99, !asked) << i;
  }
}

// A row's result does not depend on the rows beside it, nor on how the outputs are cut: batches of any size
// agree.
TEST_P(HalfGemm, RowsAndOutputsAreIndependent) {
  const int64_t inputs = 300, outputs = 61, rows = 40;
  const auto values = random_halves(GetParam().format, static_cast<size_t>(outputs * inputs));
  const HalfMatrix weights{values.data(), GetParam().format, outputs, inputs};
  const auto x = random_floats(static_cast<size_t>(rows * inputs));
  const std::vector<float> all = multiply(x, rows, weights);
  const std::vector<float> few = multiply(x, 3, weights);
  for (size_t i = 0; i < few.size(); ++i) ASSERT_EQ(few[i], all[i]) << i;

  PackedRows packed(rows, inputs);
  packed.pack(x.data(), 0, 1);
  packed.pack(x.data(), 1, packed.panels());
  std::vector<float> in_parts(all.size());
  multiply_half_packed(packed, weights, 0, 19, in_parts.data());
  multiply_half_packed(packed, weights, 19, outputs, in_parts.data());
  EXPECT_EQ(in_parts, all);
}

INSTANTIATE_TEST_SUITE_P(AllTargets, HalfGemm, testing::ValuesIn(half_kernel_cases()), half_kernel_name);

}  // namespace
}  // namespace moellava
