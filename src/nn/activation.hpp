// The activations our models use, by Hugging Face's names.
#pragma once

#include <ATen/ATen.h>

#include <string_view>
#include <vector>

namespace moellava {

enum class Activation { Silu, Gelu, GeluTanh, QuickGelu };

// "silu", "gelu" (erf), "gelu_new" and "gelu_pytorch_tanh" (tanh), "quick_gelu". Throws BadData naming
// `where`.
Activation activation_by_name(std::string_view name, std::string_view where);
const char* activation_name(Activation activation);

// Of any shape, which the result has.
at::Tensor activate(Activation activation, const at::Tensor& x);

// The hidden values of G feed-forwards at once: activate(activation, xs[g]), or with gates
// activate(activation, gates[g]) * ups[g]; shapes may differ between pairs. What kernels/activations has
// (float32 on the processor) takes one pass over memory, forward and backward, and keeps its inputs alone.
std::vector<at::Tensor> activate_all(Activation activation, const std::vector<at::Tensor>& xs);
std::vector<at::Tensor> activate_gated(Activation activation, const std::vector<at::Tensor>& gates,
                                       const std::vector<at::Tensor>& ups);

}  // namespace moellava
