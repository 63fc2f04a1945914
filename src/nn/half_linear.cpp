#include "nn/half_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "kernels/half_matmul.hpp"

namespace moellava {

namespace {

// Up to here, reading every weight once for four rows beats widening them.
constexpr int64_t kFewRows = 8;
constexpr int64_t kPanelValues = 1 << 21;  // float32 weights widened at a time: 8 MiB
constexpr int64_t kGrain = 1 << 16;        // weights that are worth a thread

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

void multiply_panels(const at::Tensor& rows, const HalfMatrix& weights, at::Tensor& y) {
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

}  // namespace

at::Tensor half_linear(const at::Tensor& x, const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const HalfMatrix weights = matrix_of(weight);
  at::DimVector shape(x.sizes().begin(), x.sizes().end());
  shape.back() = weights.outputs;
  const at::Tensor rows = x.reshape({-1, weights.inputs}).contiguous();  // [T, K]
  at::Tensor y = at::empty({rows.size(0), weights.outputs}, rows.options());
  rows.size(0) > kFewRows ? multiply_panels(rows, weights, y) : multiply_few_rows(rows, weights, y);
  return y.view(shape);
}

}  // namespace moellava
