// Products with weights that stay in their 16-bit form, sums in float32. The widest vectors that the
// processor has are chosen at run time (Highway). T rows of x, N outputs, K inputs; everything row-major.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moellava {

enum class Half { Bfloat16, Float16 };

// Weights W as they stand in a file.
struct HalfMatrix {
  const uint16_t* values = nullptr;  // [N, K]
  Half format = Half::Bfloat16;
  int64_t outputs = 0;  // N
  int64_t inputs = 0;   // K
};

// y = x W^T for the outputs first <= n < last: x [T, K] and y [T, N] float32. Every weight is read once for
// four rows of x, so this is for few rows: one token, or the tokens of one expert.
void multiply_half(const float* x, int64_t rows, const HalfMatrix& weights, int64_t first, int64_t last,
                   float* y);

// `count` values to float32, exactly; but on processors before AVX2, float16 infinities and NaN become large
// numbers.
void widen_half(const uint16_t* values, Half format, int64_t count, float* out);

// The same by the definition, one value at a time: what the fast ones are tested against.
void multiply_half_naive(const float* x, int64_t rows, const HalfMatrix& weights, float* y);
float widen_one_half(uint16_t value, Half format);

// Instruction sets that these kernels were compiled for and the processor has, best first: "AVX3", "AVX2",
// ...
std::vector<std::string> kernel_targets();
// While it lives, kernels run on one of them; for tests.
class UseKernelTarget {
 public:
  explicit UseKernelTarget(const std::string& name);
  ~UseKernelTarget();
  UseKernelTarget(const UseKernelTarget&) = delete;
  UseKernelTarget& operator=(const UseKernelTarget&) = delete;
};

}  // namespace moellava
