// A model from its files and back. The model visits (name, tensor); files/ yields (name, tensor); only here
// do they meet, strictly both ways: missing, unexpected and mis-shaped tensors are listed together.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/adapter.hpp"
#include "model/moe_llava.hpp"
#include "model/weights.hpp"
#include "nn/precision.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

struct LoadedModel {
  std::shared_ptr<const Bfloat16Products> products = {};  // on as long as the model lives, where asked for
  std::unique_ptr<MoeLlava> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<AdapterSettings> adapters = {};  // of a model that has any
  std::shared_ptr<Dropout> dropout = nullptr;    // theirs, where they are trained
};

struct LoadOptions {
  // Of the folder of a LoRA adapter: the model that it belongs to. Empty: where the adapter says.
  std::filesystem::path model_base = {};
  // Weights of the tower: a CLIP or SigLIP folder, or an EfficientNet-Lite0 .pth. Empty: the folder named by
  // mm_image_tower when it is there, else the checkpoint's own copy. Gives sight to a text-only model.
  std::filesystem::path vision_tower = {};
  // Weights of the projector: an mm_projector.bin. Empty: the checkpoint's own, or the mm_projector.bin
  // beside them when they have none.
  std::filesystem::path mm_projector = {};
  std::string projector = "mlp2x_gelu";  // for a model that gains sight; initialised from `seed`
  // A dense model becomes sparse: every expert starts as a copy of its layer's feed-forward.
  std::optional<MoeConfig> upcycle = {};
  // Changes how the experts of a sparse model work: choices, capacity, not their number.
  std::function<void(MoeConfig&)> adjust_moe = {};
  std::string conversation = {};  // style, "" for what the files say
  uint64_t seed = 42;             // of a new projector and new routers
  WeightMemory memory = WeightMemory::Float32;
  bool bfloat16_products = false;  // of large matrices, where the processor has them: faster, less exact
};

// `path`: a checkpoint folder in the published layout, a .gguf file (text only, family llama), or the folder
// of a LoRA adapter, whose matrices then stand beside the weights of its base.
LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options = {});

// The same with shapes but no memory and no weights, after the same checks: enough to count with.
LoadedModel outline_model(const std::filesystem::path& path, const LoadOptions& options = {});

// The tokenizer alone, without touching the weights.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

// Writes config.json, preprocessor_config.json, generation_config.json, safetensors and the tokenizer's
// files of a model without adapters.
void save_model(MoeLlava& model, const Tokenizer& tokenizer, const std::filesystem::path& folder);

}  // namespace moellava
