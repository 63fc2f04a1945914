// Memory for time: intermediate results that the backward pass computes again instead of keeping.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

namespace moellava {

// A part of a network, from its input to its outputs, all defined. Called once more from the backward pass
// (`again`) it must compute the same: what it draws is a function of what it holds.
using NetworkPart = std::function<std::vector<at::Tensor>(const at::Tensor& x, bool again)>;

// part(x), of whose intermediate results nothing stays in memory: the backward pass calls `part` again.
// Outputs require a gradient where those of `part` do, and x and every parameter inside get theirs, with the
// same bits. Without gradients, plainly part(x).
std::vector<at::Tensor> recomputed(const NetworkPart& part, const at::Tensor& x);

}  // namespace moellava
