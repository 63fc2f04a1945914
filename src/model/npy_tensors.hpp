// Tensors as .npy files, for comparing numbers with other programs.
#pragma once

#include <filesystem>
#include <span>

#include "model/moe_llava.hpp"

namespace moellava {

at::Tensor read_tensor(const std::filesystem::path& path);  // float32

// Float32 as it is, everything else as int32.
void write_tensor(const std::filesystem::path& path, const at::Tensor& tensor);

// What the routers of L MoE layers did with R rows: router_logits.npy [L, R, E], top_idx.npy [L, R, k],
// combine.npy [L, R, E] (weights) and slot.npy [L, R, E]. Where a layer has fewer than E experts the absent
// ones have logit -inf, weight 0 and slot -1. Writes nothing for a dense model.
void write_routing(const std::filesystem::path& folder, std::span<const Routing> routing);

}  // namespace moellava
