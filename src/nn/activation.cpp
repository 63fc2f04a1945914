#include "nn/activation.hpp"

#include <string>

#include "base/error.hpp"

namespace moellava {

Activation activation_by_name(std::string_view name, std::string_view where) {
  if (name == "silu") return Activation::Silu;
  if (name == "gelu") return Activation::Gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::GeluTanh;
  if (name == "quick_gelu") return Activation::QuickGelu;
  throw bad_data(where, "unknown activation",
                 {.found = "\"" + printable(name) + "\"",
                  .expected = "silu, gelu, gelu_new, gelu_pytorch_tanh or quick_gelu"});
}

const char* activation_name(Activation activation) {
  switch (activation) {
    case Activation::Silu:
      return "silu";
    case Activation::Gelu:
      return "gelu";
    case Activation::GeluTanh:
      return "gelu_new";
    case Activation::QuickGelu:
      return "quick_gelu";
  }
  return "";
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::Silu:
      return at::silu(x);
    case Activation::Gelu:
      return at::gelu(x, "none");
    case Activation::GeluTanh:
      return at::gelu(x, "tanh");
    case Activation::QuickGelu:
      return x * at::sigmoid(1.702 * x);
  }
  return x;
}

}  // namespace moellava
