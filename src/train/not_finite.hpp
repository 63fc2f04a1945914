// Where a forward pass went wrong.
#pragma once

#include <string>

#include "train/trainer.hpp"

namespace moellava {

// The first tensor on the way from the parameters to the loss of `pass` that holds a value that is not
// finite, by name: "model.layers.1.input_layernorm.weight", "output of model.layers.3", "logits". Computes
// the pass once more.
std::string first_not_finite(MoeLlava& model, const ForwardPass& pass);

}  // namespace moellava
