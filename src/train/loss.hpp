// What training minimises. B samples, T positions, H width, V vocabulary.
#pragma once

#include "model/decoder.hpp"

namespace moellava {

struct TargetRows {
  at::Tensor rows;    // [R] int64 into the B*T positions: those whose next token is trained
  at::Tensor labels;  // [R] int64: that next token
};

// Position t predicts the label of t + 1. `labels` [B, T] int64, kIgnoreLabel where nothing is trained.
TargetRows target_rows(const at::Tensor& labels);

// Mean cross entropy over the targets, in float32. Only their rows of `hidden` [B, T, H] go through the head:
// the others would cost V * H each for nothing. NaN when there is no target.
at::Tensor cross_entropy(const Decoder& decoder, const at::Tensor& hidden, const TargetRows& targets);

}  // namespace moellava
