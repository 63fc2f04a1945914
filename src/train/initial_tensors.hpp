// Parameters that a run starts with in place of the model's own.
#pragma once

#include <filesystem>

#include "model/moe_llava.hpp"

namespace moellava {

// Puts every NAME.npy of `folder` in the place of the parameter of that name, canonical or as the model's
// files spell it: the routers of another run, say. Throws BadData when there is no such parameter, when it
// has another shape, and when there is no .npy at all.
void set_initial_tensors(MoeLlava& model, const std::filesystem::path& folder);

}  // namespace moellava
