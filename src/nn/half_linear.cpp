#include "nn/half_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "kernels/bfloat16_gemm.hpp"
#include "kernels/half_gemm.hpp"
#include "nn/precision.hpp"

namespace moellava {

namespace {

// Up to here, reading every weight once for four rows beats widening them for all.
constexpr int64_t kFewRows = 8;
constexpr int64_t kManyRows = 1024;        // packed at a time, so that sums stay in the cache
constexpr int64_t kPanelValues = 1 << 21;  // float32 weights widened for libtorch at a time: 8 MiB
constexpr int64_t kGrain = 1 << 16;        // weights that are worth a thread, and rounding rows for them

HalfMatrix matrix_of(const at::Tensor& weight) {
  const bool bfloat16 = weight.scalar_type() == at::kBFloat16;
  return {.values = static_cast<const uint16_t*>(weight.const_data_ptr()),
          .format = bfloat16 ? Half::Bfloat16 : Half::Float16,
          .outputs = weight.size(0),
          .inputs = weight.size(1)};
}

int64_t grain_rows(int64_t inputs) {
  return std::max<int64_t>(1, kGrain / inputs);
}

void multiply_few_rows(const at::Tensor& rows, const HalfMatrix& weights, at::Tensor& y) {
  const float* from = rows.const_data_ptr<float>();
  float* to = y.data_ptr<float>();
  at::parallel_for(0, weights.outputs, grain_rows(weights.inputs), [&](int64_t first, int64_t last) {
    multiply_half(from, rows.size(0), weights, first, last, to);
  });
}

// libtorch's products round to bfloat16 what is float32: a panel of weights at a time is made so.
void multiply_rounding(const at::Tensor& rows, const HalfMatrix& weights, at::Tensor& y) {
  const int64_t panel_rows = std::clamp<int64_t>(kPanelValues / weights.inputs, 1, weights.outputs);
  const at::Tensor panel = at::empty({panel_rows, weights.inputs}, rows.options());
  float* widened = panel.data_ptr<float>();
  for (int64_t first = 0; first < weights.outputs; first += panel_rows) {
    const int64_t count = std::min(panel_rows, weights.outputs - first);
    at::parallel_for(0, count, grain_rows(weights.inputs), [&](int64_t begin, int64_t end) {
      widen_half(weights.values + (first + begin) * weights.inputs, weights.format,
                 (end - begin) * weights.inputs, widened + begin * weights.inputs);
    });
    y.narrow(1, first, count).copy_(at::linear(rows, panel.narrow(0, 0, count)));
  }
}

// Packs kManyRows rows at a time, and multiplies each lot with all outputs.
template <class Packed, void (*multiply)(const Packed&, const HalfMatrix&, int64_t, int64_t, float*)>
void multiply_packed(const at::Tensor& rows, const HalfMatrix& weights, at::Tensor& y) {
  for (int64_t row = 0; row < rows.size(0); row += kManyRows) {
    const float* from = rows.const_data_ptr<float>() + row * weights.inputs;
    float* to = y.data_ptr<float>() + row * weights.outputs;
    Packed packed(std::min(kManyRows, rows.size(0) - row), weights.inputs);
    at::parallel_for(0, packed.panels(), 1,
                     [&](int64_t first, int64_t last) { packed.pack(from, first, last); });
    at::parallel_for(0, weights.outputs, grain_rows(weights.inputs),
                     [&](int64_t first, int64_t last) { multiply(packed, weights, first, last, to); });
  }
}

}  // namespace

at::Tensor half_linear(const at::Tensor& x, const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const HalfMatrix weights = matrix_of(weight);
  at::DimVector shape(x.sizes().begin(), x.sizes().end());
  shape.back() = weights.outputs;
  const at::Tensor rows = x.reshape({-1, weights.inputs}).contiguous();  // [T, K]
  at::Tensor y = at::empty({rows.size(0), weights.outputs}, rows.options());
  if (rows.size(0) <= kFewRows) {
    multiply_few_rows(rows, weights, y);
  } else if (bfloat16_products_wanted() && has_bfloat16_products()) {
    multiply_rounding(rows, weights, y);
  } else if (bfloat16_products_wanted() && has_avx512_bfloat16() && weights.format == Half::Bfloat16 &&
             weight.numel() >= kGrain) {
    multiply_packed<PackedPairs, multiply_bfloat16>(rows, weights, y);
  } else {
    multiply_packed<PackedRows, multiply_half_packed>(rows, weights, y);
  }
  return y.view(shape);
}

}  // namespace moellava
