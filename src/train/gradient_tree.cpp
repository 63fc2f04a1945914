#include "train/gradient_tree.hpp"

#include <ATen/core/grad_mode.h>

namespace moellava {

namespace {

void add_to(at::Tensor& sum, const at::Tensor& other) {
  if (!other.defined()) return;
  if (sum.defined()) {
    sum.add_(other);
  } else {
    sum = other;
  }
}

}  // namespace

void GradientTree::add(const std::vector<NamedParameter>& parameters) {
  const at::NoGradGuard no_grad;
  if (++added_ % 2 != 0) return;
  Sum last{.micro_batches = 2, .gradients = {}};
  for (const NamedParameter& parameter : parameters) {
    last.gradients.push_back(parameter.tensor.grad());
    parameter.tensor.mutable_grad().reset();
  }
  while (!sums_.empty() && sums_.back().micro_batches == last.micro_batches) {
    Sum before = std::move(sums_.back());
    sums_.pop_back();
    for (size_t i = 0; i < before.gradients.size(); ++i) add_to(before.gradients[i], last.gradients[i]);
    before.micro_batches *= 2;
    last = std::move(before);
  }
  sums_.push_back(std::move(last));
}

void GradientTree::finish(const NamedParameter& parameter, size_t index) {
  const at::NoGradGuard no_grad;
  for (size_t i = sums_.size(); i-- > 0;) {
    at::Tensor& sum = sums_[i].gradients[index];
    add_to(sum, parameter.tensor.grad());
    if (sum.defined()) parameter.tensor.mutable_grad() = sum;
    sum.reset();
  }
}

void GradientTree::clear() {
  added_ = 0;
  sums_.clear();
}

}  // namespace moellava
