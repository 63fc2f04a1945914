// Gradients of a process's micro-batches, added up in the order of sum_in_tree (comm/collectives.hpp), so
// that the sum over a step has the same bits however the micro-batches lie on processes.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "train/adamw.hpp"

namespace moellava {

// Autograd adds a pair into .grad by itself; sums of more are kept here: log2(micro-batches) - 1 copies of
// the gradients at most.
class GradientTree {
 public:
  // Between two micro-batches of a step: takes the gradients away where the tree wants it.
  void add(const std::vector<NamedParameter>& parameters);
  // After the last one: what is kept of parameter `index` is added to its gradient.
  void finish(const NamedParameter& parameter, size_t index);
  void clear();

 private:
  struct Sum {
    size_t micro_batches = 0;
    std::vector<at::Tensor> gradients;  // undefined: no gradient came
  };
  size_t added_ = 0;
  std::vector<Sum> sums_;  // the larger first
};

}  // namespace moellava
