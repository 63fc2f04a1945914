// A LoRA adapter in a folder, as PEFT and LLaVA write it: adapter_config.json, adapter_model.safetensors (or
// .bin), non_lora_trainables.bin with the parameters that were trained as a whole, and the model's
// config.json.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "files/tensor_file.hpp"
#include "model/adapter_config.hpp"

namespace moellava {

constexpr const char* kAdapterConfigFile = "adapter_config.json";
constexpr const char* kNonLoraFile = "non_lora_trainables.bin";

bool is_adapter_folder(const std::filesystem::path& path);
// Throws Io where it is none; `flag` named it.
void require_adapter_folder(const std::filesystem::path& path, const std::string& flag);

struct AdapterFolder {
  AdapterConfig config;
  std::filesystem::path base;        // the model it belongs to
  TensorFile tensors;                // its matrices; names as in the base model
  std::optional<TensorFile> whole;   // parameters that take the place of the base model's, likewise
  std::optional<ModelConfig> model;  // its config.json, which not every tool writes
  std::string conversation;          // the style that config.json names, "" when it names none
};

// `base` as given, or where adapter_config.json says when empty. Throws Io when a file or the base is
// missing, BadData for what the files hold; whether the tensors fit is not looked at.
AdapterFolder open_adapter_folder(const std::filesystem::path& folder, const std::filesystem::path& base);

// Writes the adapters of `model`, its projector and its routers, and names `base`, the model that they were
// trained on. adapter_config.json comes last: with it the folder is whole.
void save_adapter(MoeLlava& model, const AdapterSettings& settings, const std::string& base,
                  const std::filesystem::path& folder);

}  // namespace moellava
