// mm_projector.bin: what LLaVA's first stage leaves, the projector alone.
#pragma once

#include <filesystem>
#include <string>

#include "files/tensor_file.hpp"

namespace moellava {

class MoeLlava;

constexpr const char* kProjectorFile = "mm_projector.bin";  // in a model's folder

// The file's tensors under canonical names, "model.mm_projector.image_spatial_proj.0.weight", however it
// spells them: with or without "image_spatial_proj", below "model.", "transformer." or a wrapper's prefix.
// Throws BadData when it holds no projector.
TensorFile open_projector_file(const std::filesystem::path& path);

// Writes mm_projector.bin into `folder`: the model's projector alone, under the names of its family's files.
void save_projector(MoeLlava& model, const std::filesystem::path& folder);

// The type that the names show: "linear", "mlpNx_gelu" or "pool_mlpNx_gelu".
std::string projector_type_of(const TensorFile& file);

}  // namespace moellava
