#include "nn/recompute.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace moellava {

namespace {

using torch::autograd::variable_list;

class RecomputeNode : public torch::autograd::Node {
 public:
  RecomputeNode(NetworkPart part, const at::Tensor& x)
      : Node(torch::autograd::collect_next_edges(x)), part_(std::move(part)), x_(x.detach()) {}

  // `gradients` of those outputs that require one, in order.
  variable_list apply(variable_list&& gradients) override {
    const bool wanted = task_should_compute_output(0);
    const at::Tensor x = x_.detach().requires_grad_(wanted);
    variable_list roots, of_roots;
    {
      const at::AutoGradMode tracked(true);
      size_t next = 0;
      for (const at::Tensor& output : part_(x, /*again=*/true)) {
        if (!output.requires_grad()) continue;
        const at::Tensor& gradient = gradients.at(next++);
        if (!gradient.defined()) continue;
        roots.push_back(output);
        of_roots.push_back(gradient);
      }
    }
    if (!roots.empty()) torch::autograd::backward(roots, of_roots);
    return {wanted ? x.grad() : at::Tensor()};
  }
  void release_variables() override {
    part_ = nullptr;
    x_.reset();
  }
  std::string name() const override { return "Recompute"; }

 private:
  NetworkPart part_;
  at::Tensor x_;  // outside of any graph
};

}  // namespace

std::vector<at::Tensor> recomputed(const NetworkPart& part, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return part(x, /*again=*/false);
  // Tracked as in the backward pass, so that both run the same code, and to learn which outputs depend on
  // something trained; what was tracked is dropped with `tracked`.
  const std::vector<at::Tensor> tracked = part(x.detach().requires_grad_(x.requires_grad()), /*again=*/false);
  std::vector<at::Tensor> outputs;
  std::shared_ptr<RecomputeNode> node;
  for (const at::Tensor& output : tracked) {
    outputs.push_back(output.detach());
    if (!output.requires_grad()) continue;
    if (!node) node = {new RecomputeNode(part, x), torch::autograd::deleteNode};
    torch::autograd::set_history(outputs.back(), node);
  }
  return outputs;
}

}  // namespace moellava
