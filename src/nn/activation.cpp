#include "nn/activation.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/error.hpp"
#include "kernels/activations.hpp"

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

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr int64_t kChunk = 1 << 14;  // values that a thread takes at once

// Calls compute(g, begin, count) for stretches that together are all values of all tensors.
template <class Compute>
void for_each_chunk(const variable_list& tensors, const Compute& compute) {
  struct Chunk {
    size_t g;
    int64_t begin, count;
  };
  std::vector<Chunk> chunks;
  for (size_t g = 0; g < tensors.size(); ++g) {
    const int64_t all = tensors[g].numel();
    for (int64_t begin = 0; begin < all; begin += kChunk)
      chunks.push_back({g, begin, std::min(kChunk, all - begin)});
  }
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Chunk& chunk = chunks[static_cast<size_t>(i)];
      compute(chunk.g, chunk.begin, chunk.count);
    }
  });
}

const float* values(const at::Tensor& tensor, int64_t begin) {
  return tensor.const_data_ptr<float>() + begin;
}
float* room(const at::Tensor& tensor, int64_t begin) {
  return tensor.mutable_data_ptr<float>() + begin;
}

variable_list empty_like(const variable_list& tensors) {
  variable_list made;
  for (const at::Tensor& tensor : tensors) made.push_back(at::empty_like(tensor));
  return made;
}

// One value of each input makes one of the output.
struct GatedSilu {
  static constexpr size_t kInputs = 2;
  using Inputs = std::array<variable_list, kInputs>;  // gates, ups

  static void forward(const Inputs& in, size_t g, int64_t begin, int64_t count, const at::Tensor& out) {
    gated_silu(values(in[0][g], begin), values(in[1][g], begin), count, room(out, begin));
  }
  static void backward(const at::Tensor& gradient, const Inputs& in, size_t g, int64_t begin, int64_t count,
                       const Inputs& of_in) {
    gated_silu_backward(values(gradient, begin), values(in[0][g], begin), values(in[1][g], begin), count,
                        room(of_in[0][g], begin), room(of_in[1][g], begin));
  }
};
struct GeluTanh {
  static constexpr size_t kInputs = 1;
  using Inputs = std::array<variable_list, kInputs>;

  static void forward(const Inputs& in, size_t g, int64_t begin, int64_t count, const at::Tensor& out) {
    gelu_tanh(values(in[0][g], begin), count, room(out, begin));
  }
  static void backward(const at::Tensor& gradient, const Inputs& in, size_t g, int64_t begin, int64_t count,
                       const Inputs& of_in) {
    gelu_tanh_backward(values(gradient, begin), values(in[0][g], begin), count, room(of_in[0][g], begin));
  }
};

// Inputs: G of the kernel's first ones, then G of its second ones. Outputs: G.
template <class Kernel>
class ActivationNode : public torch::autograd::Node {
 public:
  using Inputs = typename Kernel::Inputs;

  ActivationNode(const Inputs& inputs, torch::autograd::edge_list edges) : Node(std::move(edges)) {
    for (size_t k = 0; k < Kernel::kInputs; ++k) {
      for (const at::Tensor& x : inputs[k]) inputs_[k].emplace_back(x, /*is_output=*/false);
    }
  }

  variable_list apply(variable_list&& gradients) override {
    std::vector<size_t> places;  // of those that have a gradient
    variable_list from;
    Inputs inputs, of_inputs;
    for (size_t g = 0; g < gradients.size(); ++g) {
      if (!gradients[g].defined()) continue;
      places.push_back(g);
      from.push_back(gradients[g].contiguous());
      for (size_t k = 0; k < Kernel::kInputs; ++k) inputs[k].push_back(inputs_[k][g].unpack());
    }
    for (size_t k = 0; k < Kernel::kInputs; ++k) of_inputs[k] = empty_like(inputs[k]);
    for_each_chunk(from, [&](size_t g, int64_t begin, int64_t count) {
      Kernel::backward(from[g], inputs, g, begin, count, of_inputs);
    });
    variable_list results(Kernel::kInputs * gradients.size());
    for (size_t k = 0; k < Kernel::kInputs; ++k) {
      for (size_t i = 0; i < places.size(); ++i)
        results[k * gradients.size() + places[i]] = std::move(of_inputs[k][i]);
    }
    return results;
  }
  void release_variables() override {
    for (std::vector<SavedVariable>& list : inputs_) {
      for (SavedVariable& x : list) x.reset_data();
    }
  }
  std::string name() const override { return "Activation"; }

 private:
  std::array<std::vector<SavedVariable>, Kernel::kInputs> inputs_;
};

template <class Kernel>
variable_list run_kernel(const typename Kernel::Inputs& inputs) {
  variable_list outputs, all;
  for (const variable_list& list : inputs) all.insert(all.end(), list.begin(), list.end());
  {
    const at::NoGradGuard no_grad;
    outputs = empty_like(inputs[0]);
    for_each_chunk(outputs, [&](size_t g, int64_t begin, int64_t count) {
      Kernel::forward(inputs, g, begin, count, outputs[g]);
    });
  }
  if (!torch::autograd::compute_requires_grad(at::TensorList(all))) return outputs;
  const std::shared_ptr<torch::autograd::Node> node(
      new ActivationNode<Kernel>(inputs, torch::autograd::collect_next_edges(at::TensorList(all))),
      torch::autograd::deleteNode);
  torch::autograd::set_history(outputs, node);
  return outputs;
}

bool fits_kernels(const variable_list& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous();
  });
}

}  // namespace

std::vector<at::Tensor> activate_all(Activation activation, const std::vector<at::Tensor>& xs) {
  if (activation == Activation::GeluTanh && fits_kernels(xs)) return run_kernel<GeluTanh>({xs});
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& x : xs) outputs.push_back(activate(activation, x));
  return outputs;
}

std::vector<at::Tensor> activate_gated(Activation activation, const std::vector<at::Tensor>& gates,
                                       const std::vector<at::Tensor>& ups) {
  if (activation == Activation::Silu && fits_kernels(gates) && fits_kernels(ups))
    return run_kernel<GatedSilu>({gates, ups});
  std::vector<at::Tensor> outputs;
  for (size_t g = 0; g < gates.size(); ++g) outputs.push_back(activate(activation, gates[g]) * ups[g]);
  return outputs;
}

}  // namespace moellava
