// Where the tokens of a training step went: by layer, and by text and image. Padding is not counted.
// L MoE layers, E experts, K choices a token, T rows of a batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/moe/router.hpp"
#include "model/splice.hpp"

namespace moellava {

struct ExpertLoad {
  int64_t tokens = 0;
  std::vector<int64_t> chosen;  // [E] choices, first or later, dropped or not
  int64_t dropped = 0;          // choices that found their expert full
  double entropy = 0;           // sum over the tokens of the entropy of the router's softmax, in bits

  ExpertLoad& operator+=(const ExpertLoad& other);
};

struct LayerLoads {
  ExpertLoad text;
  ExpertLoad image;

  LayerLoads& operator+=(const LayerLoads& other) {
    text += other.text;
    image += other.image;
    return *this;
  }
};

// What kind each row of the padded batch is.
at::Tensor row_kinds(const Spliced& batch);  // [T] int64: 0 text, 1 image, 2 padding; T = B * positions

// Adds a pass to `loads`, which is empty or of the same layers. `routing` [L].
void count_routing(std::span<const Routing> routing, const at::Tensor& kinds, std::vector<LayerLoads>& loads);

}  // namespace moellava
