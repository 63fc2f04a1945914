#include "nn/half_linear.hpp"

#include <gtest/gtest.h>

#include "kernels/bfloat16_gemm.hpp"
#include "nn/linear.hpp"
#include "nn/precision.hpp"

namespace moellava {
namespace {

// Deterministic values of both signs around one.
at::Tensor waves(at::IntArrayRef shape, double step) {
  const int64_t count = c10::multiply_integers(shape);
  return at::sin(at::arange(count, at::kFloat) * step).view(shape);
}

double largest_error(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

// 1, 8: few rows; 9, 40: many; 1025: more than are packed at once. 70 x 33: nothing divides anything.
TEST(HalfLinear, EqualsFloat32OnTheSameWeights) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 8, 9, 40, 1025}) {
      const at::Tensor weight = waves({70, 33}, 0.7).to(dtype);
      const at::Tensor x = waves({rows, 33}, 1.3);
      const at::Tensor expected = at::linear(x, weight.to(at::kFloat));
      EXPECT_LE(largest_error(half_linear(x, weight), expected), 1e-6) << rows << " " << dtype;
    }
  }
}

TEST(HalfLinear, RoundedProductsAreThoseOfFloat32Weights) {
  const at::Tensor weight = waves({3, 1 << 20}, 0.7).to(at::kHalf);  // a panel holds two outputs
  const at::Tensor x = waves({9, 1 << 20}, 1.3);
  const Bfloat16Products products(true);
  EXPECT_LE(largest_error(half_linear(x, weight), at::linear(x, weight.to(at::kFloat))), 1e-4);
}

TEST(HalfLinear, RowsOfSmallMatricesAreNotRounded) {
  if (!has_avx512_bfloat16() || has_bfloat16_products())
    GTEST_SKIP() << "this processor has no AVX512-BF16, or AMX";
  const Bfloat16Products products(true);
  for (const int64_t outputs : {255, 256}) {
    const at::Tensor weight = waves({outputs, 256}, 0.7).to(at::kBFloat16), x = waves({9, 256}, 1.3);
    const double error = largest_error(half_linear(x, weight), at::linear(x, weight.to(at::kFloat)));
    EXPECT_EQ(error > 1e-5, outputs == 256) << error;
  }
}

TEST(HalfLinear, LinearTakesEitherKindOfWeight) {
  Linear layer(33, 70, /*with_bias=*/true);
  layer.weight = waves({70, 33}, 0.7).to(at::kHalf);
  layer.bias = waves({70}, 0.2);
  const at::Tensor x = waves({2, 5, 33}, 1.3);
  const at::Tensor expected = at::linear(x, layer.weight.to(at::kFloat), layer.bias);
  const at::Tensor found = layer(x);
  EXPECT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE(largest_error(found, expected), 1e-6);
}

}  // namespace
}  // namespace moellava
