// Compiled once for each instruction set: foreach_target.h includes this file again and again, and
// HWY_DYNAMIC_DISPATCH picks at run time.
#include "kernels/half_matmul.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half_matmul.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/half_vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

// y[t * stride_y] = x[t, :] . w for kRows rows of x.
template <class Format, size_t kRows>
void dot_rows(const float* HWY_RESTRICT x, size_t inputs, const uint16_t* HWY_RESTRICT w,
              float* HWY_RESTRICT y, size_t stride_y) {
  const Floats floats;
  const size_t lanes = hn::Lanes(floats);
  // Two sums a row, so that an addition need not wait for the one before it.
  FloatVector sums[kRows][2];
  for (size_t t = 0; t < kRows; ++t) sums[t][0] = sums[t][1] = hn::Zero(floats);
  size_t k = 0;
  for (; k + 2 * lanes <= inputs; k += 2 * lanes) {
    const FloatVector w0 = Format::load(w + k);
    const FloatVector w1 = Format::load(w + k + lanes);
    for (size_t t = 0; t < kRows; ++t) {
      const float* row = x + t * inputs + k;
      sums[t][0] = hn::MulAdd(hn::LoadU(floats, row), w0, sums[t][0]);
      sums[t][1] = hn::MulAdd(hn::LoadU(floats, row + lanes), w1, sums[t][1]);
    }
  }
  while (k < inputs) {
    const size_t count = std::min(lanes, inputs - k);
    const FloatVector rest = load_some<Format>(w + k, count);
    HWY_ALIGN float padded[hn::MaxLanes(Floats())] = {};
    for (size_t t = 0; t < kRows; ++t) {
      std::copy_n(x + t * inputs + k, count, padded);
      sums[t][0] = hn::MulAdd(hn::Load(floats, padded), rest, sums[t][0]);
    }
    k += count;
  }
  for (size_t t = 0; t < kRows; ++t) {
    y[t * stride_y] = hn::GetLane(hn::SumOfLanes(floats, hn::Add(sums[t][0], sums[t][1])));
  }
}

template <class Format>
void multiply(const float* x, int64_t rows, const HalfMatrix& weights, int64_t first, int64_t last,
              float* y) {
  const auto inputs = static_cast<size_t>(weights.inputs);
  const auto outputs = static_cast<size_t>(weights.outputs);
  for (auto n = static_cast<size_t>(first); n < static_cast<size_t>(last); ++n) {
    const uint16_t* w = weights.values + n * inputs;
    size_t t = 0;
    for (const auto all = static_cast<size_t>(rows); t < all;) {
      const float* from = x + t * inputs;
      float* to = y + t * outputs + n;
      switch (std::min<size_t>(all - t, 4)) {
        case 4:
          dot_rows<Format, 4>(from, inputs, w, to, outputs);
          t += 4;
          break;
        case 3:
          dot_rows<Format, 3>(from, inputs, w, to, outputs);
          t += 3;
          break;
        case 2:
          dot_rows<Format, 2>(from, inputs, w, to, outputs);
          t += 2;
          break;
        default:
          dot_rows<Format, 1>(from, inputs, w, to, outputs);
          t += 1;
      }
    }
  }
}

void multiply_any(const float* x, int64_t rows, const HalfMatrix& weights, int64_t first, int64_t last,
                  float* y) {
  if (weights.format == Half::Bfloat16) return multiply<FromBfloat16>(x, rows, weights, first, last, y);
  multiply<FromFloat16>(x, rows, weights, first, last, y);
}

void widen_any(const uint16_t* values, Half format, int64_t count, float* out) {
  const auto size = static_cast<size_t>(count);
  if (format == Half::Bfloat16) return widen<FromBfloat16>(values, size, out);
  widen<FromFloat16>(values, size, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moellava {

HWY_EXPORT(multiply_any);
HWY_EXPORT(widen_any);

void multiply_half(const float* x, int64_t rows, const HalfMatrix& weights, int64_t first, int64_t last,
                   float* y) {
  HWY_DYNAMIC_DISPATCH(multiply_any)(x, rows, weights, first, last, y);
}

void widen_half(const uint16_t* values, Half format, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(widen_any)(values, format, count, out);
}

}  // namespace moellava
#endif
