// Every intermediate result of one step, for comparing it with another program: what `moe-llava dump` is for
// a prompt. R = B * T rows of the batch, padding included.
#pragma once

#include <filesystem>

#include "train/trainer.hpp"

namespace moellava {

// ids.json and labels.json (a list a sample, pictures as one id), embeddings.npy [B, T, H], labels.npy
// [B, T], and of a sparse model what write_routing leaves.
void dump_forward(const std::filesystem::path& folder, const MicroBatch& batch, const ForwardPass& pass);

// gradients/NAME.npy for every trained parameter, and gradient_norms.json, named as the model's files name
// them.
void dump_gradients(const std::filesystem::path& folder, const std::string& family,
                    const std::vector<NamedParameter>& parameters);

}  // namespace moellava
