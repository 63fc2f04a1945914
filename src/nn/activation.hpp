// The activations our models use, by Hugging Face's names.
#pragma once

#include <ATen/ATen.h>

#include <string_view>

namespace moellava {

enum class Activation { Silu, Gelu, GeluTanh, QuickGelu };

// "silu", "gelu" (erf), "gelu_new" and "gelu_pytorch_tanh" (tanh), "quick_gelu". Throws BadData naming
// `where`.
Activation activation_by_name(std::string_view name, std::string_view where);
const char* activation_name(Activation activation);

at::Tensor activate(Activation activation, const at::Tensor& x);

}  // namespace moellava
