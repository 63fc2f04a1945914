// Compiled once for each instruction set, as half_matmul.cpp. The product is cut as usual for matrices larger
// than the caches (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008); but a
// vector runs along the rows of x, so that weights need widening and no transposing.
#include "kernels/half_gemm.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half_gemm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/half_vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

// A tile is kTileOutputs weights' rows times kTileVectors vectors of x rows: as many sums as registers hold.
constexpr size_t kTileOutputs = HWY_TARGET <= HWY_AVX3 ? 14 : 6;
constexpr size_t kTileVectors = 2;
constexpr size_t kBlockInputs = 256;                // a panel of x: 32 KiB at 512 bits
constexpr size_t kBlockOutputs = 4 * kTileOutputs;  // tiles that use a panel of x while it is near

size_t panel_rows() {
  return kTileVectors * hn::Lanes(Floats());
}

// sums[m, t] += w[m, :] . x[:, t] for the inputs of a block.
template <size_t kVectors>
void add_tile(const float* HWY_RESTRICT w, const float* HWY_RESTRICT x, size_t inputs,
              float* HWY_RESTRICT sums, size_t sums_stride) {
  const Floats floats;
  const size_t lanes = hn::Lanes(floats);
  FloatVector tile[kTileOutputs][kVectors];
  for (size_t m = 0; m < kTileOutputs; ++m) {
    for (size_t v = 0; v < kVectors; ++v) tile[m][v] = hn::LoadU(floats, sums + m * sums_stride + v * lanes);
  }
  for (size_t k = 0; k < inputs; ++k) {
    FloatVector row[kVectors];
    for (size_t v = 0; v < kVectors; ++v) row[v] = hn::LoadU(floats, x + (k * kVectors + v) * lanes);
    for (size_t m = 0; m < kTileOutputs; ++m) {
      const FloatVector weight = hn::Set(floats, w[m * kBlockInputs + k]);
      for (size_t v = 0; v < kVectors; ++v) tile[m][v] = hn::MulAdd(weight, row[v], tile[m][v]);
    }
  }
  for (size_t m = 0; m < kTileOutputs; ++m) {
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(tile[m][v], floats, sums + m * sums_stride + v * lanes);
  }
}

// Rows that the panels hold, with those that fill up the last one. A last panel that needs only one vector
// has one.
size_t padded_rows(size_t rows) {
  const size_t lanes = hn::Lanes(Floats());
  return (rows + lanes - 1) / lanes * lanes;
}

// One block of outputs times all rows: widened weights and sums stay in the cache.
struct Block {
  std::vector<float> weights = std::vector<float>(kBlockOutputs * kBlockInputs);
  std::vector<float> sums;  // [kBlockOutputs, padded rows]

  template <class Format>
  void widen_weights(const HalfMatrix& matrix, size_t first, size_t count, size_t input, size_t inputs) {
    const auto stride = static_cast<size_t>(matrix.inputs);
    for (size_t m = 0; m < count; ++m)
      widen<Format>(matrix.values + (first + m) * stride + input, inputs, weights.data() + m * kBlockInputs);
  }

  // Of all rows, for the inputs from `input` on. Outputs beyond `count` are computed from what an earlier
  // block left and never read.
  void add(const PackedRows& x, size_t count, size_t input, size_t inputs) {
    const size_t padded = padded_rows(static_cast<size_t>(x.rows));
    const auto all_inputs = static_cast<size_t>(x.inputs);
    const size_t lanes = hn::Lanes(Floats());
    for (size_t row = 0; row < padded; row += panel_rows()) {
      const bool full = padded - row >= panel_rows();
      const size_t width = full ? panel_rows() : lanes;
      const float* panel = x.values.data() + row * all_inputs + input * width;
      for (size_t m = 0; m < count; m += kTileOutputs) {
        const float* w = weights.data() + m * kBlockInputs;
        float* tile = sums.data() + m * padded + row;
        full ? add_tile<kTileVectors>(w, panel, inputs, tile, padded)
             : add_tile<1>(w, panel, inputs, tile, padded);
      }
    }
  }

  // sums [count, T] to y [T, N], sixteen rows at a time: whole cache lines on either side.
  void store(const PackedRows& x, size_t first, size_t count, size_t outputs, float* HWY_RESTRICT y) const {
    constexpr size_t kRows = 16;
    const auto rows = static_cast<size_t>(x.rows);
    const size_t padded = padded_rows(rows);
    for (size_t row = 0; row < rows; row += kRows) {
      const size_t end = std::min(row + kRows, rows);
      for (size_t m = 0; m < count; ++m) {
        for (size_t t = row; t < end; ++t) y[t * outputs + first + m] = sums[m * padded + t];
      }
    }
  }
};

template <class Format>
void multiply_packed(const PackedRows& x, const HalfMatrix& weights, size_t first, size_t last, float* y) {
  Block block;
  const auto inputs = static_cast<size_t>(weights.inputs);
  for (size_t n = first; n < last; n += kBlockOutputs) {
    const size_t count = std::min(kBlockOutputs, last - n);
    block.sums.assign(kBlockOutputs * padded_rows(static_cast<size_t>(x.rows)), 0.0f);
    for (size_t k = 0; k < inputs; k += kBlockInputs) {
      const size_t some = std::min(kBlockInputs, inputs - k);
      block.widen_weights<Format>(weights, n, count, k, some);
      block.add(x, count, k, some);
    }
    block.store(x, n, count, static_cast<size_t>(weights.outputs), y);
  }
}

void multiply_packed_any(const PackedRows& x, const HalfMatrix& weights, int64_t first, int64_t last,
                         float* y) {
  const auto from = static_cast<size_t>(first);
  const auto to = static_cast<size_t>(last);
  if (weights.format == Half::Bfloat16) return multiply_packed<FromBfloat16>(x, weights, from, to, y);
  multiply_packed<FromFloat16>(x, weights, from, to, y);
}

// Rows first <= t < first + width of x [T, K] to [K, width]; rows that x does not have become zeros.
void pack_panel(const float* HWY_RESTRICT x, size_t rows, size_t inputs, size_t first, size_t width,
                float* HWY_RESTRICT panel) {
  constexpr size_t kInputs = 16;  // a cache line of each row
  for (size_t k = 0; k < inputs; k += kInputs) {
    const size_t end = std::min(k + kInputs, inputs);
    for (size_t t = 0; t < width; ++t) {
      const float* from = x + (first + t) * inputs;
      const bool there = first + t < rows;
      for (size_t i = k; i < end; ++i) panel[i * width + t] = there ? from[i] : 0.0f;
    }
  }
}

int64_t count_panels(int64_t rows) {
  return (rows + static_cast<int64_t>(panel_rows()) - 1) / static_cast<int64_t>(panel_rows());
}

int64_t count_padded_rows(int64_t rows) {
  return static_cast<int64_t>(padded_rows(static_cast<size_t>(rows)));
}

void pack_panels(const float* x, int64_t first, int64_t last, PackedRows& packed) {
  const auto rows = static_cast<size_t>(packed.rows);
  const auto inputs = static_cast<size_t>(packed.inputs);
  for (auto panel = static_cast<size_t>(first); panel < static_cast<size_t>(last); ++panel) {
    const size_t row = panel * panel_rows();
    const size_t width = std::min(panel_rows(), padded_rows(rows) - row);
    pack_panel(x, rows, inputs, row, width, packed.values.data() + row * inputs);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moellava {

HWY_EXPORT(multiply_packed_any);
HWY_EXPORT(count_panels);
HWY_EXPORT(count_padded_rows);
HWY_EXPORT(pack_panels);

PackedRows::PackedRows(int64_t row_count, int64_t input_count) : rows(row_count), inputs(input_count) {
  values.resize(static_cast<size_t>(HWY_DYNAMIC_DISPATCH(count_padded_rows)(rows) * inputs));
}

int64_t PackedRows::panels() const {
  return HWY_DYNAMIC_DISPATCH(count_panels)(rows);
}

void PackedRows::pack(const float* x, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(pack_panels)(x, first, last, *this);
}

void multiply_half_packed(const PackedRows& x, const HalfMatrix& weights, int64_t first, int64_t last,
                          float* y) {
  HWY_DYNAMIC_DISPATCH(multiply_packed_any)(x, weights, first, last, y);
}

}  // namespace moellava
#endif
