// LoRA (Hu et al. 2021, arXiv 2106.09685): what a low-rank adapter adds to a linear layer. R its rank.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "nn/dropout.hpp"
#include "nn/parameter.hpp"

namespace moellava {

struct LowRank {
  at::Tensor a;                                 // [R, in]
  at::Tensor b;                                 // [out, R]
  double scale = 1;                             // of their product
  bool shares_a = false;                        // `a` is another layer's as well, which visits it
  std::shared_ptr<const Dropout> dropout = {};  // of its inputs; nullptr: none
  uint64_t stream = 0;                          // of the dropout: apart from other layers'

  // What is added to the layer's output: x [..., in] -> [..., out].
  at::Tensor operator()(const at::Tensor& x) const;
  // What merging adds to the layer's weight: scale B A, [out, in] float32.
  at::Tensor product() const;
  // prefix + ".lora_A.weight" and ".lora_B.weight", as PEFT calls them.
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

// Whether a parameter's name is that of a low-rank matrix.
bool is_low_rank_parameter(const std::string& name);

}  // namespace moellava
