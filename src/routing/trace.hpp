// Adds up what the routers of a model chose. L MoE layers, E experts, K choices a token, T tokens of a pass.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/config.hpp"
#include "model/moe/router.hpp"

namespace moellava {

enum class Modality { Text, Image };

// Counts over the tokens of one modality in one layer; the original analysis looks at first choices only.
struct ExpertCounts {
  int64_t tokens = 0;
  std::vector<int64_t> first;   // [E] tokens whose first choice the expert is
  std::vector<int64_t> chosen;  // [E] tokens that chose it first or later, dropped or not
  int64_t dropped = 0;          // of the tokens * K choices, those that found their expert full
  double entropy = 0;           // sum over the tokens of the entropy of the router's softmax, in bits

  ExpertCounts& operator+=(const ExpertCounts& other);
};

struct LayerTrace {
  int64_t layer = 0;                       // number in the decoder, from 0
  int64_t top_k = 0;                       // K
  std::array<ExpertCounts, 2> modalities;  // by Modality

  const ExpertCounts& of(Modality modality) const { return modalities[static_cast<size_t>(modality)]; }
  ExpertCounts all() const;
};

class RoutingTrace {
 public:
  explicit RoutingTrace(const MoeConfig& moe);

  // One pass over whole prompts. `routing` [L]; `is_image` [T] says which rows are visual tokens. Padding
  // must not be among the rows. Throws Internal when the shapes are not those of the model.
  void add(std::span<const Routing> routing, const std::vector<bool>& is_image);

  const std::vector<LayerTrace>& layers() const { return layers_; }
  int64_t passes() const { return passes_; }

 private:
  std::vector<LayerTrace> layers_;  // [L]
  int64_t passes_ = 0;
};

}  // namespace moellava
