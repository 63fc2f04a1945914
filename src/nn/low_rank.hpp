// LoRA (Hu et al. 2021, arXiv 2106.09685): what a low-rank adapter adds to a linear layer. R its rank.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "nn/parameter.hpp"

namespace moellava {

// Dropout of the adapters' inputs, one for all of a model. Whoever trains sets the key of each micro-batch:
// the same key drops the same values, so that nothing needs to be remembered.
struct LowRankDropout {
  double probability = 0;
  uint64_t key = 0;
};

struct LowRank {
  at::Tensor a;                                        // [R, in]
  at::Tensor b;                                        // [out, R]
  double scale = 1;                                    // of their product
  bool shares_a = false;                               // `a` is another layer's as well, which visits it
  std::shared_ptr<const LowRankDropout> dropout = {};  // nullptr: none
  uint64_t stream = 0;                                 // of the dropout: apart from other layers'

  // What is added to the layer's output: x [..., in] -> [..., out].
  at::Tensor operator()(const at::Tensor& x) const;
  // What merging adds to the layer's weight: scale B A, [out, in] float32.
  at::Tensor product() const;
  // prefix + ".lora_A.weight" and ".lora_B.weight", as PEFT calls them.
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

// Each value of x is 0 with the given probability, else divided by 1 - probability: a function of key, stream
// and the value's place alone.
at::Tensor drop_values(const at::Tensor& x, const LowRankDropout& dropout, uint64_t stream);

// Whether a parameter's name is that of a low-rank matrix.
bool is_low_rank_parameter(const std::string& name);

}  // namespace moellava
