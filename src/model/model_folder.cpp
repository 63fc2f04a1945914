#include "model/model_folder.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/safetensors.hpp"
#include "model/families/family.hpp"
#include "model/load.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kShardBytes = 5'000'000'000;  // Hugging Face's default

VisionConfig read_vision(const JsonObject& json) {
  const std::string name = json.string(json.has("mm_image_tower") ? "mm_image_tower" : "mm_vision_tower");
  VisionConfig config = vision_of_name(name);
  if (config.kind != TowerKind::EfficientNetLite0 && json.has("vision_config"))
    config = read_vision_transformer(json.object("vision_config"), config.kind);
  config.name = name;
  config.select_layer = json.integer_or("mm_vision_select_layer", -2, -config.layers - 1, config.layers);
  const std::string feature = json.string_or("mm_vision_select_feature", "patch");
  if (feature != "patch" && feature != "cls_patch") {
    throw bad_data(json.where() + ": mm_vision_select_feature", "unknown",
                   {.found = "\"" + printable(feature) + "\"", .expected = "patch or cls_patch"});
  }
  config.select_class_token = feature == "cls_patch";
  return config;
}

// A bad id would index past the embeddings.
std::optional<int64_t> read_token_id(const JsonObject& json, std::string_view key, int64_t vocab_size) {
  if (!json.has(key)) return std::nullopt;
  return json.integer(key, 0, vocab_size - 1);
}

Json config_json(const ModelConfig& config) {
  const Family& family = family_by_name(config.family);
  const bool moe = config.moe.enabled();
  Json json;
  family.write(config.decoder, json);
  // A text-only model keeps the plain name of its family.
  const LlavaKind kind = moe ? LlavaKind::Moe : config.vision ? LlavaKind::Dense : LlavaKind::TextOnly;
  json["model_type"] = family.model_type(kind);
  json["architectures"] = {family.architecture(kind)};
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
  json["conv_version"] = config.conversation;
  if (config.bos_id) json["bos_token_id"] = *config.bos_id;
  if (config.eos_id) json["eos_token_id"] = *config.eos_id;
  if (config.pad_id) json["pad_token_id"] = *config.pad_id;
  if (moe) json["moe"] = write_moe_config(config.moe);
  if (config.vision) {
    const VisionConfig& vision = *config.vision;
    json["mm_image_tower"] = vision.name;
    json["mm_video_tower"] = nullptr;
    json["mm_hidden_size"] = vision.hidden_size;
    json["mm_vision_select_layer"] = vision.select_layer;
    json["mm_vision_select_feature"] = vision.select_class_token ? "cls_patch" : "patch";
    json["mm_use_im_start_end"] = false;
    json["mm_use_im_patch_token"] = false;
    json["use_mm_proj"] = true;
    json["image_projector_type"] = config.projector;
    json["image_aspect_ratio"] = config.preprocess.aspect_ratio == AspectRatio::Pad ? "pad" : "square";
    json["tokenizer_padding_side"] = "right";
    if (vision.kind != TowerKind::EfficientNetLite0) json["vision_config"] = write_vision_transformer(vision);
  }
  return json;
}

// The model's tensors under the family's names, q, k and v fused where the family fuses them.
std::vector<TensorView> named_tensors(MoeLlava& model, const Family& family, std::vector<at::Tensor>& keep) {
  std::vector<TensorView> views;
  auto add = [&](const std::string& name, const at::Tensor& tensor) {
    keep.push_back(tensor.detach().contiguous());
    const at::Tensor& kept = keep.back();
    views.push_back(
        {.name = name,
         .dtype = DType::F32,
         .shape = kept.sizes().vec(),
         .data = std::as_bytes(std::span(kept.data_ptr<float>(), static_cast<size_t>(kept.numel())))});
  };
  // Attention visits q.weight, q.bias, k.weight, k.bias, v.weight, v.bias: collect all six, then fuse.
  std::map<std::string, std::vector<at::Tensor>> thirds;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    const std::string file_name = family.file_name(name);
    const bool third = family.fused_qkv && file_name.find(".c_attn.") != std::string::npos;
    if (!third) return add(file_name, tensor);
    auto& parts = thirds[file_name];
    parts.push_back(tensor.detach());
    if (parts.size() == 3) add(file_name, at::cat(parts, 0));
  });
  return views;
}

}  // namespace

ModelConfig read_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!fs::exists(path)) {
    throw make_error(ErrorKind::Io, path.string(), "no such file",
                     {.hint = "a model folder holds config.json, weights and tokenizer files"});
  }
  const Json document = read_json(path);
  const JsonObject json(document, path.string());
  const Family& family = family_of_model_type(json.string("model_type"), path.string() + ": model_type");
  ModelConfig config;
  config.family = family.name;
  config.decoder = family.read(json);
  if (json.has("moe") && json.object("moe").boolean_or("moe_enable", true)) {
    config.moe = read_moe_config(json.object("moe"), config.decoder.layers);
  }
  if (json.has("mm_image_tower") || json.has("mm_vision_tower")) config.vision = read_vision(json);
  config.projector =
      json.string_or(json.has("mm_projector_type") ? "mm_projector_type" : "image_projector_type", "linear");
  config.conversation = json.string_or("conv_version", std::string(family.conversation));
  config.bos_id = read_token_id(json, "bos_token_id", config.decoder.vocab_size);
  config.eos_id = read_token_id(json, "eos_token_id", config.decoder.vocab_size);
  config.pad_id = read_token_id(json, "pad_token_id", config.decoder.vocab_size);
  if (const fs::path preprocess = folder / "preprocessor_config.json"; fs::exists(preprocess)) {
    const Json values = read_json(preprocess);
    config.preprocess = read_preprocess_config(JsonObject(values, preprocess.string()));
  } else if (config.vision) {
    config.preprocess = default_preprocess(*config.vision);
  }
  const bool pad = json.string_or("image_aspect_ratio", "square") == "pad";
  config.preprocess.aspect_ratio = pad ? AspectRatio::Pad : AspectRatio::Square;
  return config;
}

bool is_unused_tensor(const std::string& name) {
  constexpr std::string_view kEndings[] = {".inv_freq", ".position_ids", ".num_batches_tracked",
                                           ".masked_bias"};
  constexpr std::string_view kStarts[] = {"text_model.", "visual_projection.", "text_projection.",
                                          "logit_scale", "logit_bias",         "_fc.",
                                          "rope_freqs."};
  constexpr std::string_view kPooling = "vision_model.head.";  // SigLIP's
  return name.starts_with(kPooling) || name.find(".vision_model.head.") != std::string::npos ||
         std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](auto end) { return name.ends_with(end); }) ||
         std::any_of(std::begin(kStarts), std::end(kStarts),
                     [&](auto start) { return name.starts_with(start); });
}

void save_model(MoeLlava& model, const Tokenizer& tokenizer, const fs::path& folder) {
  fs::create_directories(folder);
  const ModelConfig& config = model.config();
  std::vector<at::Tensor> keep;
  const std::vector<TensorView> views = named_tensors(model, family_by_name(config.family), keep);
  write_safetensors_folder(folder, views, kShardBytes);
  tokenizer.save(folder);
  if (config.vision)
    write_file_atomic(folder / "preprocessor_config.json",
                      write_preprocess_config(config.preprocess).dump(2) + "\n");
  Json generation = Json::object();
  if (config.eos_id) generation["eos_token_id"] = *config.eos_id;
  write_file_atomic(folder / "generation_config.json", generation.dump(2) + "\n");
  // Last: a folder with a config.json is a whole model.
  write_file_atomic(folder / "config.json", config_json(config).dump(2) + "\n");
}

}  // namespace moellava
