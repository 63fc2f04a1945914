// Highway 1.0.3 does not know AVX512-BF16, so this one kernel is written in intrinsics.
#include "kernels/bfloat16_gemm.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace moellava {

namespace {

// As the instruction set's own conversion, but NaN stays NaN whatever its payload.
uint32_t rounded(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

}  // namespace

PackedPairs::PackedPairs(int64_t row_count, int64_t input_count) : rows(row_count), inputs(input_count) {
  values.resize(static_cast<size_t>(panels() * kRows * pairs()));
}

void PackedPairs::pack(const float* x, int64_t first, int64_t last) {
  for (int64_t row = first * kRows; row < std::min(last * kRows, rows); ++row) {
    const float* from = x + row * inputs;
    uint32_t* to = values.data() + row / kRows * kRows * pairs() + row % kRows;
    for (int64_t k = 0; k < inputs / 2; ++k)
      to[k * kRows] = rounded(from[2 * k]) | rounded(from[2 * k + 1]) << 16;
    if (inputs % 2 != 0) to[inputs / 2 * kRows] = rounded(from[inputs - 1]);
  }
}

#ifdef __x86_64__

namespace {

// A tile is kTileOutputs weights' rows times a panel of x: as many sums as registers hold.
constexpr int64_t kTileOutputs = 14;
constexpr int64_t kBlockOutputs = 4 * kTileOutputs;  // tiles that use a panel of x while it is near
constexpr int64_t kBlockPairs = 1024;                // of a panel of x: 128 KiB
constexpr int64_t kVectors = PackedPairs::kRows / 16;

struct Tile {
  __m512 sums[kTileOutputs][kVectors];
};

// Sixteen times a pair of inputs' weights.
__attribute__((target("avx512f,avx512bf16"), always_inline)) inline void add_pair(
    Tile& tile, const uint32_t (&pairs)[kTileOutputs], const uint32_t* panel) {
  __m512bh x[kVectors];
  for (int64_t v = 0; v < kVectors; ++v)
    x[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + 16 * v));
  for (int64_t m = 0; m < kTileOutputs; ++m) {
    const auto w = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[m])));
    for (int64_t v = 0; v < kVectors; ++v) tile.sums[m][v] = _mm512_dpbf16_ps(tile.sums[m][v], w, x[v]);
  }
}

// sums [kTileOutputs, panel rows] += w x for the pairs first <= k < last of a panel.
__attribute__((target("avx512f,avx512bf16"))) void add_tile(const HalfMatrix& weights, int64_t output,
                                                            const uint32_t* panel, int64_t first,
                                                            int64_t last, float* sums) {
  const uint16_t* rows[kTileOutputs];
  // Beyond the last output the last one is computed again, and not stored.
  for (int64_t m = 0; m < kTileOutputs; ++m)
    rows[m] = weights.values + std::min(output + m, weights.outputs - 1) * weights.inputs;
  Tile tile;
  for (int64_t m = 0; m < kTileOutputs; ++m) {
    for (int64_t v = 0; v < kVectors; ++v)
      tile.sums[m][v] = _mm512_loadu_ps(sums + m * PackedPairs::kRows + 16 * v);
  }
  const int64_t whole = std::min(last, weights.inputs / 2);
  uint32_t pairs[kTileOutputs];
  for (int64_t k = first; k < whole; ++k) {
    for (int64_t m = 0; m < kTileOutputs; ++m) std::memcpy(&pairs[m], rows[m] + 2 * k, sizeof pairs[m]);
    add_pair(tile, pairs, panel + k * PackedPairs::kRows);
  }
  if (whole < last) {  // the last input of an odd K stands alone
    for (int64_t m = 0; m < kTileOutputs; ++m) pairs[m] = rows[m][2 * whole];
    add_pair(tile, pairs, panel + whole * PackedPairs::kRows);
  }
  for (int64_t m = 0; m < kTileOutputs; ++m) {
    for (int64_t v = 0; v < kVectors; ++v)
      _mm512_storeu_ps(sums + m * PackedPairs::kRows + 16 * v, tile.sums[m][v]);
  }
}

// Outputs first <= n < last of one panel's rows.
void multiply_panel(const PackedPairs& x, int64_t panel, const HalfMatrix& weights, int64_t first,
                    int64_t last, float* y) {
  float sums[kBlockOutputs * PackedPairs::kRows] = {};
  const uint32_t* values = x.values.data() + panel * PackedPairs::kRows * x.pairs();
  for (int64_t k = 0; k < x.pairs(); k += kBlockPairs) {
    for (int64_t n = first; n < last; n += kTileOutputs)
      add_tile(weights, n, values, k, std::min(k + kBlockPairs, x.pairs()),
               sums + (n - first) * PackedPairs::kRows);
  }
  const int64_t row = panel * PackedPairs::kRows;
  for (int64_t t = 0; t < std::min(PackedPairs::kRows, x.rows - row); ++t) {
    for (int64_t n = first; n < last; ++n)
      y[(row + t) * weights.outputs + n] = sums[(n - first) * PackedPairs::kRows + t];
  }
}

}  // namespace

bool has_avx512_bfloat16() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
}

void multiply_bfloat16(const PackedPairs& x, const HalfMatrix& weights, int64_t first, int64_t last,
                       float* y) {
  for (int64_t n = first; n < last; n += kBlockOutputs) {
    for (int64_t panel = 0; panel < x.panels(); ++panel)
      multiply_panel(x, panel, weights, n, std::min(n + kBlockOutputs, last), y);
  }
}

#else

bool has_avx512_bfloat16() {
  return false;
}

void multiply_bfloat16(const PackedPairs&, const HalfMatrix&, int64_t, int64_t, float*) {
  throw std::logic_error("multiply_bfloat16: this processor has no AVX512-BF16");
}

#endif

}  // namespace moellava
