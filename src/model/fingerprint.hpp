// Which weights a model has, in one number.
#pragma once

#include "model/moe_llava.hpp"

namespace moellava {

// Tells models apart whose weights differ, by some values of every parameter; where they lie does not matter.
uint64_t weights_fingerprint(MoeLlava& model);

}  // namespace moellava
