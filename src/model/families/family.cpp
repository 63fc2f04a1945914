#include "model/families/family.hpp"

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "base/strings.hpp"

namespace moellava {

namespace {

constexpr const Family* kFamilies[] = {&kLlama, &kMistral, &kPhi, &kStableLm, &kQwen, &kQwen2, &kMiniCpm};

}  // namespace

std::string Family::model_type(LlavaKind kind) const {
  if (kind == LlavaKind::TextOnly) return std::string(name);
  return (kind == LlavaKind::Moe ? "moe_llava_" : "llava_") +
         std::string(llava_name.empty() ? name : llava_name);
}

std::string Family::architecture(LlavaKind kind) const {
  if (kind == LlavaKind::TextOnly) return std::string(class_name) + "ForCausalLM";
  return (kind == LlavaKind::Moe ? "MoELLaVA" : "Llava") +
         std::string(llava_class_name.empty() ? class_name : llava_class_name) + "ForCausalLM";
}

std::string Family::file_name(std::string_view canonical) const {
  // A tower's layers have names of their own, which may look like the decoder's.
  constexpr std::string_view kTower = ".image_tower.";
  const size_t tower = canonical.find(kTower);
  const size_t end = tower == std::string_view::npos ? canonical.size() : tower + kTower.size();
  std::string spelled(canonical.substr(0, end));
  for (const Rename& rename : renames)
    spelled = replace_all(std::move(spelled), rename.canonical, rename.file);
  return spelled.append(canonical.substr(end));
}

const Family& family_of_model_type(std::string_view model_type, std::string_view where) {
  std::string_view name = model_type;
  for (std::string_view prefix : {"moe_llava_", "llava_"}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  if (name == "llava") name = "llama";  // LLaVA 1.5's first files
  std::string known;
  for (const Family* family : kFamilies) {
    if (family->name == name || (!family->llava_name.empty() && family->llava_name == name)) return *family;
    known += (known.empty() ? "" : ", ") + std::string(family->name);
  }
  throw bad_data(
      where, "unknown model_type",
      {.found = "\"" + printable(model_type) + "\"", .expected = "[moe_][llava_] and one of " + known});
}

const Family& family_by_name(std::string_view name) {
  return family_of_model_type(name, "family");
}

double read_dropout(const JsonObject& json, const std::string& key) {
  const double share = json.number_or(key, 0);
  if (!(share >= 0 && share < 1))
    throw bad_data(json.where() + ": " + key, "out of range",
                   {.found = string_printf("%g", share), .expected = "0 to less than 1"});
  return share;
}

DecoderConfig read_common_decoder(const JsonObject& json) {
  DecoderConfig config;
  config.vocab_size = json.integer("vocab_size", 1, 1 << 24);
  config.hidden_size = json.integer("hidden_size", 1, 1 << 17);
  config.layers = json.integer("num_hidden_layers", 1, 4096);
  config.heads = json.integer("num_attention_heads", 1, 4096);
  config.kv_heads = json.integer_or("num_key_value_heads", config.heads, 1, 4096);
  config.intermediate_size = json.integer("intermediate_size", 1, 1 << 20);
  config.rope_theta = json.number_or("rope_theta", 10000);
  config.tie_embeddings = json.boolean_or("tie_word_embeddings", false);
  config.max_positions = json.integer_or("max_position_embeddings", 2048, 1, 1 << 30);
  config.attention_dropout = read_dropout(json, "attention_dropout");
  auto require = [&](bool holds, std::string_view key, const std::string& found,
                     const std::string& expected) {
    if (!holds)
      throw bad_data(json.where() + ": " + std::string(key), "out of range",
                     {.found = found, .expected = expected});
  };
  require(config.hidden_size % config.heads == 0, "hidden_size", std::to_string(config.hidden_size),
          "a multiple of num_attention_heads " + std::to_string(config.heads));
  require(config.head_dim() % 2 == 0, "hidden_size", std::to_string(config.head_dim()) + " a head",
          "an even head size");
  require(config.heads % config.kv_heads == 0, "num_key_value_heads", std::to_string(config.kv_heads),
          "a divisor of num_attention_heads " + std::to_string(config.heads));
  require(json.integer_or("head_dim", config.head_dim(), 1, 1 << 17) == config.head_dim(), "head_dim",
          std::to_string(json.integer_or("head_dim", 0, 0, 1 << 17)), std::to_string(config.head_dim()));
  require(config.rope_theta >= 1 && config.rope_theta <= 1e12, "rope_theta",
          string_printf("%g", config.rope_theta), "1 to 1e12");
  if (json.has("rope_scaling")) {
    throw bad_data(json.where() + ": rope_scaling", "not supported", {.expected = "null"});
  }
  return config;
}

void write_common_decoder(const DecoderConfig& config, Json& json) {
  json["vocab_size"] = config.vocab_size;
  json["hidden_size"] = config.hidden_size;
  json["num_hidden_layers"] = config.layers;
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["intermediate_size"] = config.intermediate_size;
  json["rope_theta"] = config.rope_theta;
  json["tie_word_embeddings"] = config.tie_embeddings;
  json["max_position_embeddings"] = config.max_positions;
  json["attention_dropout"] = config.attention_dropout;
}

}  // namespace moellava
