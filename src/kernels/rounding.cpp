// Compiled once for each instruction set: foreach_target.h includes this file again and again, and
// HWY_DYNAMIC_DISPATCH picks at run time.
#include "kernels/rounding.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rounding.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;

// Just below half of the last bit that stays is added, and that bit itself; what overflows from the mantissa
// goes to the exponent, as it should.
HWY_INLINE FloatVector rounded(FloatVector x) {
  const Floats floats;
  const hn::RebindToUnsigned<Floats> words;
  const auto bits = hn::BitCast(words, x);
  const auto last = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1U));
  const auto up = hn::Add(bits, hn::Add(last, hn::Set(words, 0x7fffU)));
  const auto kept = hn::BitCast(floats, hn::And(up, hn::Set(words, 0xffff0000U)));
  return hn::IfThenElse(hn::IsNaN(x), x, kept);
}

void round_any(const float* values, int64_t count, float* out) {
  const Floats floats;
  const auto lanes = static_cast<int64_t>(hn::Lanes(floats));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(rounded(hn::LoadU(floats, values + i)), floats, out + i);
  if (i == count) return;
  HWY_ALIGN float padded[hn::MaxLanes(Floats())] = {};
  std::copy_n(values + i, count - i, padded);
  hn::Store(rounded(hn::Load(floats, padded)), floats, padded);
  std::copy_n(padded, count - i, out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moellava {

HWY_EXPORT(round_any);

void round_to_bfloat16(const float* values, int64_t count, float* rounded) {
  HWY_DYNAMIC_DISPATCH(round_any)(values, count, rounded);
}

}  // namespace moellava
#endif
