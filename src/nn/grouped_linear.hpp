// Several linear layers of one shape, each on its own rows: what the experts of a layer compute together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/linear.hpp"

namespace moellava {

// Whether grouped_linear serves this layer now: weights of float32 (or wider) in the processor's memory, no
// adapter, and no rounding of factors in software.
bool can_be_grouped(const Linear& linear);

// rows [N, in], those of each layer together; counts [G], which sum to N; layers [G], all [out, in], each
// can_be_grouped -> [N, out]. Equal to the layers one by one. Threads share the rows (in the weights'
// gradients the outputs) evenly, however uneven the groups are, instead of meeting after every product.
at::Tensor grouped_linear(const at::Tensor& rows, std::span<const int64_t> counts,
                          const std::vector<const Linear*>& layers);

}  // namespace moellava
