// Vectors of float32, and arrays taken a vector at a time, for the kernels of every instruction set: Highway
// includes this file once for each of them.
#if defined(MOELLAVA_KERNELS_VECTORS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef MOELLAVA_KERNELS_VECTORS_INL_HPP
#undef MOELLAVA_KERNELS_VECTORS_INL_HPP
#else
#define MOELLAVA_KERNELS_VECTORS_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;

// Vectors of each input through `compute(inputs, outputs)`; the last ones, too few for a vector, in a padded
// one.
template <size_t kInputs, size_t kOutputs, class Compute>
HWY_INLINE void for_each_vector(const float* const (&inputs)[kInputs], float* const (&outputs)[kOutputs],
                                size_t count, const Compute& compute) {
  const Floats floats;
  const size_t lanes = hn::Lanes(floats);
  FloatVector in[kInputs], out[kOutputs];
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (size_t k = 0; k < kInputs; ++k) in[k] = hn::LoadU(floats, inputs[k] + i);
    compute(in, out);
    for (size_t k = 0; k < kOutputs; ++k) hn::StoreU(out[k], floats, outputs[k] + i);
  }
  if (i == count) return;
  HWY_ALIGN float padded[hn::MaxLanes(Floats())] = {};
  for (size_t k = 0; k < kInputs; ++k) {
    std::copy_n(inputs[k] + i, count - i, padded);
    in[k] = hn::Load(floats, padded);
  }
  compute(in, out);
  for (size_t k = 0; k < kOutputs; ++k) {
    hn::Store(out[k], floats, padded);
    std::copy_n(padded, count - i, outputs[k] + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#endif
