// Rounding to the precision of 16-bit floats. The widest vectors that the processor has are chosen at run
// time (Highway).
#pragma once

#include <cstdint>

namespace moellava {

// `count` values rounded to the nearest bfloat16, ties to even, and left float32; NaN stays NaN. May be done
// in place.
void round_to_bfloat16(const float* values, int64_t count, float* rounded);

}  // namespace moellava
