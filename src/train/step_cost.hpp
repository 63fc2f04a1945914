// What the parts of a training step cost, found out by running each once in its real size, on weights of no
// meaning. B samples, T positions, H width.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/moe_llava.hpp"

namespace moellava {

struct PartCost {
  double seconds = 0;         // forward and backward
  int64_t kept = 0;           // bytes that wait for the backward pass
  int64_t forward_peak = 0;   // bytes at most in the forward pass, what is kept included
  int64_t backward_peak = 0;  // bytes beyond what is kept at most in the backward pass, gradients included
  int64_t gradients = 0;      // bytes
};

// The micro-batch that is measured.
struct CostBatch {
  std::vector<int64_t> lengths;  // [B] positions of each sample, padded to the longest
  int64_t targets = 0;           // positions whose next token is trained
  int64_t pictures = 0;
  bool recompute = false;  // layers keep their input alone

  int64_t positions() const;  // T
};

// Whether the parameter of this canonical name is trained.
using IsTrained = std::function<bool(const std::string& name)>;

// The adapter beside the linear layer of this canonical name; nullptr: none. Only its shapes are looked at.
using AdapterOf = std::function<const LowRank*(const std::string& linear)>;
inline const LowRank* no_adapter(const std::string&) {
  return nullptr;
}

// Of layer number `layer`, whose input needs a gradient when something below is trained.
PartCost layer_cost(const ModelConfig& config, size_t layer, bool below_trains, const IsTrained& trained,
                    const CostBatch& batch, const AdapterOf& adapter_of = no_adapter);
// The final norm, the head and the loss.
PartCost head_cost(const ModelConfig& config, const IsTrained& trained, const CostBatch& batch);
PartCost projector_cost(const ModelConfig& config, const IsTrained& trained, const CostBatch& batch);
// Seconds for one picture in one thread; 0 without a tower.
double tower_seconds(const ModelConfig& config);
// Seconds of AdamW for one parameter.
double update_seconds();

}  // namespace moellava
