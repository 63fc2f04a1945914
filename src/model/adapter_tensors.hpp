// The matrices of a LoRA adapter in PEFT's file, joined with the decoder's linear layers, strictly both ways.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "files/tensor_file.hpp"
#include "model/adapter_config.hpp"

namespace moellava {

constexpr const char* kAdapterWrapper = "base_model.model.";  // what PEFT's wrapper puts before every name

// A file's tensors without the wrapper's prefix. Throws BadData when two have one name then.
TensorFile open_wrapped_tensors(const std::filesystem::path& path);

// Why `file`, of open_wrapped_tensors, does not fit the decoder of `model`: up to ten missing, unexpected,
// mis-shaped and integer tensors each; "" when it fits. The model may have ShapesOnly.
std::string adapter_problems(MoeLlava& model, const TensorFile& file, const AdapterConfig& config);

// Gives the model these adapters, after adapter_problems found none. Nothing is dropped from their inputs
// unless the returned dropout is told to.
std::shared_ptr<Dropout> attach_adapters(MoeLlava& model, const TensorFile& file,
                                         const AdapterConfig& config);

}  // namespace moellava
