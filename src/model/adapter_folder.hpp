// A LoRA adapter in a folder, as PEFT and LLaVA write it: adapter_config.json, adapter_model.safetensors (or
// .bin), non_lora_trainables.bin with the parameters that were trained as a whole, and the model's
// config.json.
#pragma once

#include <filesystem>
#include <string>

#include "model/adapter.hpp"

namespace moellava {

constexpr const char* kAdapterConfigFile = "adapter_config.json";

bool is_adapter_folder(const std::filesystem::path& path);

// Writes the adapters of `model`, its projector and its routers, and names `base`, the model that they were
// trained on. adapter_config.json comes last: with it the folder is whole.
void save_adapter(MoeLlava& model, const AdapterSettings& settings, const std::string& base,
                  const std::filesystem::path& folder);

}  // namespace moellava
