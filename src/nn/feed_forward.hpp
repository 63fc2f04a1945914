// The feed-forward part of a transformer layer: down(act(gate(x)) * up(x)), or down(act(up(x))) without a
// gate.
#pragma once

#include <vector>

#include "nn/activation.hpp"
#include "nn/linear.hpp"

namespace moellava {

struct FeedForwardConfig {
  int64_t width = 0;  // H
  int64_t inner = 0;  // F
  bool gated = true;
  bool bias = false;
  Activation activation = Activation::Silu;
};

struct FeedForward {
  Linear gate_proj;  // [F, H], gated only
  Linear up_proj;    // [F, H]
  Linear down_proj;  // [H, F]
  bool gated = true;
  Activation activation = Activation::Silu;

  FeedForward() = default;
  explicit FeedForward(const FeedForwardConfig& config);

  at::Tensor operator()(const at::Tensor& x) const;  // [..., H] -> [..., H]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
  void visit_linears(const std::string& prefix, const LinearVisitor& visitor);
};

// Several of one shape, each on its own rows (nn/grouped_linear.hpp): xs [G] of [N, H], parts [G] -> [G] of
// [N, H]. Layers that cannot be grouped compute one after another.
std::vector<at::Tensor> grouped_feed_forward(const std::vector<at::Tensor>& xs,
                                             const std::vector<const FeedForward*>& parts);

}  // namespace moellava
