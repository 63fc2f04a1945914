// Samples of different lengths in one batch: which of its positions are padding, and what follows from that.
// B batch, T new positions, S all positions: those in a cache and the new ones.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace moellava {

enum class PaddingSide { Right, Left };

// [B, T] bool: which positions are not padding; undefined when none is. `lengths` [B], or empty for no
// padding.
at::Tensor real_positions(const std::vector<int64_t>& lengths, int64_t count, PaddingSide side);

// real [B, S] bool -> [B, S] int64: the place of each position in its own sample. Padding, which nobody asks,
// keeps its place in the batch.
at::Tensor own_positions(const at::Tensor& real);

// real [B, S] bool -> [B, 1, count, S] bool: which keys the last `count` positions see. Those of their sample
// up to their own, or the last `window` of these when it is not 0.
at::Tensor seen_keys(const at::Tensor& real, int64_t count, int64_t window);

}  // namespace moellava
