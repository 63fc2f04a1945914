// Vectors of 16-bit weights as float32, for the kernels of every instruction set: Highway includes this file
// once for each of them.
#if defined(MOELLAVA_KERNELS_HALF_VECTORS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef MOELLAVA_KERNELS_HALF_VECTORS_INL_HPP
#undef MOELLAVA_KERNELS_HALF_VECTORS_INL_HPP
#else
#define MOELLAVA_KERNELS_HALF_VECTORS_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

// One vector of weights as float32. A bfloat16 is the upper half of a float32.
struct FromBfloat16 {
  static FloatVector load(const uint16_t* values) {
    const Floats floats;
    const hn::RebindToUnsigned<Floats> words;
    const hn::Rebind<uint16_t, Floats> halves;
    return hn::BitCast(floats, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, values))));
  }
};

struct FromFloat16 {
  static FloatVector load(const uint16_t* values) {
    const Floats floats;
    const hn::Rebind<hwy::float16_t, Floats> halves;
    return hn::PromoteTo(floats, hn::LoadU(halves, reinterpret_cast<const hwy::float16_t*>(values)));
  }
};

// The last few values of a row, behind the whole vectors.
template <class Format>
FloatVector load_some(const uint16_t* values, size_t count) {
  HWY_ALIGN uint16_t padded[hn::MaxLanes(Floats())] = {};
  std::copy_n(values, count, padded);
  return Format::load(padded);
}

// `count` values to float32.
template <class Format>
void widen(const uint16_t* HWY_RESTRICT values, size_t count, float* HWY_RESTRICT out) {
  const Floats floats;
  const size_t lanes = hn::Lanes(floats);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(Format::load(values + i), floats, out + i);
  if (i == count) return;
  HWY_ALIGN float rest[hn::MaxLanes(Floats())];
  hn::Store(load_some<Format>(values + i, count - i), floats, rest);
  std::copy_n(rest, count - i, out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#endif
