// Compiled once for each instruction set: foreach_target.h includes this file again and again, and
// HWY_DYNAMIC_DISPATCH picks at run time.
#include "kernels/rounding.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rounding.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

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
  for_each_vector<1, 1>({values}, {out}, static_cast<size_t>(count),
                        [](const FloatVector(&in)[1], FloatVector(&result)[1])
                            HWY_ATTR { result[0] = rounded(in[0]); });
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
