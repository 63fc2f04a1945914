#include "model/model_folder.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/string_printf.hpp"
#include "files/safetensors.hpp"
#include "files/torch_write.hpp"
#include "model/families/family.hpp"
#include "model/family_tensors.hpp"
#include "model/llava_hf.hpp"
#include "model/load.hpp"
#include "model/projector.hpp"
#include "model/projector_file.hpp"
#include "model/weights.hpp"
#include "text/conversation.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

std::string first_of(const JsonObject& json, std::initializer_list<const char*> keys, std::string fallback) {
  for (const char* key : keys) {
    if (json.has(key)) return json.string(key);
  }
  return fallback;
}

VisionConfig read_vision(const JsonObject& json) {
  const std::string name = first_of(json, {"mm_image_tower", "mm_vision_tower"}, "");
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
  const int64_t width = json.integer_or("mm_hidden_size", config.hidden_size, 1, 1 << 16);
  if (config.geometry_known && width != config.hidden_size) {
    throw bad_data(json.where() + ": mm_hidden_size", "differs from the vision tower",
                   {.found = std::to_string(width), .expected = std::to_string(config.hidden_size)});
  }
  if (json.boolean_or("mm_use_im_start_end", false)) {
    throw bad_data(json.where() + ": mm_use_im_start_end", "not supported",
                   {.found = "true", .expected = "false"});
  }
  return config;
}

AspectRatio read_aspect_ratio(const JsonObject& json) {
  const std::string ratio = json.string_or("image_aspect_ratio", "square");
  if (ratio.starts_with("anyres")) {
    throw bad_data(json.where() + ": image_aspect_ratio", "not supported",
                   {.found = "\"" + printable(ratio) + "\"", .expected = "pad or square"});
  }
  return ratio == "pad" ? AspectRatio::Pad : AspectRatio::Square;
}

PaddingSide read_padding_side(const JsonObject& json) {
  const std::string side = json.string_or("tokenizer_padding_side", "right");
  if (side == "right") return PaddingSide::Right;
  if (side == "left") return PaddingSide::Left;
  throw bad_data(json.where() + ": tokenizer_padding_side", "unknown",
                 {.found = "\"" + printable(side) + "\"", .expected = "right or left"});
}

// bos_token_id, eos_token_id or pad_token_id: one id, a list of them, or none. A bad id would index past the
// embeddings.
std::vector<int64_t> read_token_ids(const JsonObject& json, std::string_view key, int64_t vocab_size) {
  if (!json.has(key)) return {};
  if (json.at(key).is_array()) return json.integers(key, 0, vocab_size - 1);
  return {json.integer(key, 0, vocab_size - 1)};
}

// Qwen's "stop_words_ids": [[id, ...], ...]; any of these sequences ends an answer.
void read_stop_words(const JsonObject& generation, ModelConfig& config) {
  constexpr const char* kKey = "stop_words_ids";
  if (!generation.has(kKey)) return;
  const std::string where = generation.where() + ": " + kKey;
  if (!generation.at(kKey).is_array()) throw bad_data(where, "not a list of lists of ids");
  for (const Json& word : generation.at(kKey)) {
    const Json entry = {{kKey, word}};
    const std::vector<int64_t> ids =
        JsonObject(entry, generation.where()).integers(kKey, 0, config.decoder.vocab_size - 1);
    if (ids.empty()) throw bad_data(where, "holds an empty list");
    if (ids.size() > 1) {
      config.stop_words.push_back(ids);
    } else if (std::find(config.stop_ids.begin(), config.stop_ids.end(), ids[0]) == config.stop_ids.end()) {
      config.stop_ids.push_back(ids[0]);
    }
  }
}

// What ends a text stands in generation_config.json, and where that is silent in config.json; it is the other
// way round with the ids that only tokenizers need.
void read_special_ids(const JsonObject& json, const JsonObject& generation, ModelConfig& config) {
  const auto ids = [&](std::string_view key, const JsonObject& before, const JsonObject& after) {
    return read_token_ids(before.has(key) ? before : after, key, config.decoder.vocab_size);
  };
  const auto first = [](const std::vector<int64_t>& all) {
    return all.empty() ? std::nullopt : std::optional(all[0]);
  };
  config.stop_ids = ids("eos_token_id", generation, json);
  config.eos_id = first(config.stop_ids);
  config.bos_id = first(ids("bos_token_id", json, generation));
  config.pad_id = first(ids("pad_token_id", json, generation));
  read_stop_words(generation, config);
}

bool mentions(const Json& json, const std::string& text) {
  if (json.is_string()) return json.get_ref<const std::string&>() == text;
  if (json.is_object() && json.contains(text)) return true;
  return json.is_structured() &&
         std::any_of(json.begin(), json.end(), [&](const Json& part) { return mentions(part, text); });
}

// Whether the files beside the vocabulary name a token.
bool tokenizer_has(const fs::path& folder, const std::string& token) {
  for (const char* name : {"added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (fs::exists(folder / name) && mentions(read_json(folder / name), token)) return true;
  }
  return false;
}

// The style of a folder whose config.json names none, as only ours do. The original goes by the folder's
// name.
std::string find_conversation(const ModelConfig& config, const JsonObject& generation,
                              const fs::path& folder) {
  // Qwen's chat models say so; what LLaVA made of them was trained otherwise.
  if (!config.vision && generation.string_or("chat_format", "") == "chatml") return "chatml";
  const std::string_view other = family_by_name(config.family).conversation_of_token;
  if (!other.empty() && tokenizer_has(folder, std::string(conversation_style(other).stop)))
    return std::string(other);
  return config.conversation;
}

// MoE-LLaVA's and LLaVA 1.5's config.json, and that of a language model alone.
ModelConfig read_flat_config(const JsonObject& json) {
  const Family& family = family_of_model_type(json.string("model_type"), json.where() + ": model_type");
  ModelConfig config;
  config.family = family.name;
  config.decoder = family.read(json);
  if (json.has("moe") && json.object("moe").boolean_or("moe_enable", true)) {
    config.moe = read_moe_config(json.object("moe"), config.decoder.layers);
  }
  if (json.has("mm_image_tower") || json.has("mm_vision_tower")) config.vision = read_vision(json);
  config.projector = first_of(json, {"image_projector_type", "mm_projector_type"}, "linear");
  if (config.vision) projector_type(config.projector);  // refuses what it does not know
  config.conversation = json.string_or("conv_version", std::string(family.conversation));
  return config;
}

void check_decoder(const DecoderConfig& decoder, const std::string& where) {
  const auto require = [&](bool holds, const char* what, double found, const char* expected) {
    if (!holds) throw bad_data(where, what, {.found = string_printf("%g", found), .expected = expected});
  };
  require(decoder.norm_eps > 0 && decoder.norm_eps < 1, "epsilon of the norms is out of range",
          decoder.norm_eps, "more than 0 and less than 1");
  require(decoder.rotary_fraction > 0 && decoder.rotary_fraction <= 1, "rotary fraction is out of range",
          decoder.rotary_fraction, "more than 0 and at most 1");
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
    json["tokenizer_padding_side"] = config.padding == PaddingSide::Left ? "left" : "right";
    if (vision.kind != TowerKind::EfficientNetLite0) json["vision_config"] = write_vision_transformer(vision);
  }
  return json;
}

}  // namespace

void save_projector(MoeLlava& model, const fs::path& folder) {
  write_torch_file(folder / kProjectorFile, family_tensors(model, is_projector_parameter).views);
}

ModelConfig read_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!fs::exists(path)) {
    throw make_error(ErrorKind::Io, path.string(), "no such file",
                     {.hint = "a model folder holds config.json, weights and tokenizer files"});
  }
  const Json document = read_json(path);
  const JsonObject json(document, path.string());
  ModelConfig config = is_llava_hf(json) ? read_llava_hf(json) : read_flat_config(json);
  check_decoder(config.decoder, path.string());
  const fs::path generation_path = folder / "generation_config.json";
  const Json generation_document = fs::exists(generation_path) ? read_json(generation_path) : Json::object();
  const JsonObject generation(generation_document, generation_path.string());
  read_special_ids(json, generation, config);
  if (!json.has("conv_version")) config.conversation = find_conversation(config, generation, folder);
  if (const fs::path preprocess = folder / "preprocessor_config.json"; fs::exists(preprocess)) {
    const Json values = read_json(preprocess);
    config.preprocess = read_preprocess_config(JsonObject(values, preprocess.string()));
  } else if (config.vision) {
    config.preprocess = default_preprocess(*config.vision);
  }
  config.preprocess.aspect_ratio = read_aspect_ratio(json);
  config.padding = read_padding_side(json);
  config.unread_fields = json.unread();
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

void save_config(const ModelConfig& config, const fs::path& folder) {
  if (config.vision)
    write_file_atomic(folder / "preprocessor_config.json",
                      write_preprocess_config(config.preprocess).dump(2) + "\n");
  Json generation = Json::object();
  if (config.eos_id) generation["eos_token_id"] = *config.eos_id;
  if (config.stop_ids.size() > 1) generation["eos_token_id"] = config.stop_ids;
  if (!config.stop_words.empty()) generation["stop_words_ids"] = config.stop_words;
  write_file_atomic(folder / "generation_config.json", generation.dump(2) + "\n");
  write_file_atomic(folder / "config.json", config_json(config).dump(2) + "\n");
}

void save_model(MoeLlava& model, const Tokenizer& tokenizer, const fs::path& folder) {
  fs::create_directories(folder);
  const auto all = [](const std::string&) { return true; };
  write_safetensors_folder(folder, family_tensors(model, all).views, kShardBytes);
  tokenizer.save(folder);
  // Last: a folder with a config.json is a whole model.
  save_config(model.config(), folder);
}

}  // namespace moellava
