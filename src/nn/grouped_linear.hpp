// Several linear layers of one shape, each on its own rows: what the experts of a layer compute together.
#pragma once

#include <vector>

#include "nn/linear.hpp"

namespace moellava {

// Whether grouped_linear serves this layer now: weights of float32 (or wider) in the processor's memory, and
// no bfloat16 products of the processor's own, which libtorch uses in ways of its own.
bool can_be_grouped(const Linear& linear);

// xs [G] of [N, in], N at least 1 and of each group its own; layers [G], all [out, in], each can_be_grouped
// -> [G] of [N, out]. Equal to the layers one by one. Threads share the work evenly, however uneven the
// groups are, instead of meeting after every product; a group's bits depend on its own rows alone.
std::vector<at::Tensor> grouped_linear(const std::vector<at::Tensor>& xs,
                                       const std::vector<const Linear*>& layers);

}  // namespace moellava
