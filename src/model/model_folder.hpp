// The published folder layout: config.json and its companions, read and written.
#pragma once

#include <filesystem>
#include <string>

#include "model/config.hpp"

namespace moellava {

constexpr uint64_t kShardBytes = 5'000'000'000;  // of a safetensors file at most; Hugging Face's default

// config.json (+ preprocessor_config.json). `vision` is set when the config names a tower whose geometry is
// known from the folder's vision_config or from the tower's published name.
ModelConfig read_model_config(const std::filesystem::path& folder);

// The same files, and generation_config.json; config.json last.
void save_config(const ModelConfig& config, const std::filesystem::path& folder);

// Tensors that checkpoints carry and no forward pass reads: buffers, a tower's text half or classifier.
bool is_unused_tensor(const std::string& name);

}  // namespace moellava
