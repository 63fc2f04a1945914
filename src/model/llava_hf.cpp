#include "model/llava_hf.hpp"

#include "base/error.hpp"
#include "model/families/family.hpp"

namespace moellava {

namespace {

// What the config classes of transformers say where a text_config is silent.
struct TextDefaults {
  std::string_view model_type;
  const char* fields;
};
constexpr TextDefaults kTextDefaults[] = {
    {"llama",
     R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                  "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6})"},
    {"mistral", R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
                    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                    "max_position_embeddings": 131072, "rms_norm_eps": 1e-6})"},
    {"qwen2", R"({"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016,
                  "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
                  "max_position_embeddings": 32768, "rms_norm_eps": 1e-6})"},
};

Json with_defaults(const JsonObject& text) {
  const std::string type = text.string_or("model_type", "llama");
  Json fields = Json::object();
  for (const TextDefaults& defaults : kTextDefaults) {
    if (defaults.model_type == type) fields = Json::parse(defaults.fields);
  }
  fields.update(text.raw());
  fields["model_type"] = type;
  return fields;
}

bool selects_class_token(const JsonObject& config) {
  const std::string strategy = config.string_or("vision_feature_select_strategy", "default");
  if (strategy == "default") return false;
  if (strategy == "full") return true;
  throw bad_data(config.where() + ": vision_feature_select_strategy", "unknown",
                 {.found = "\"" + printable(strategy) + "\"", .expected = "default or full"});
}

// Two linears with biases and an exact GELU between them: what the class has, and what may be switched off.
std::string projector_of(const JsonObject& config) {
  const std::string activation = config.string_or("projector_hidden_act", "gelu");
  if (activation != "gelu") {
    throw bad_data(config.where() + ": projector_hidden_act", "not supported",
                   {.found = "\"" + printable(activation) + "\"", .expected = "gelu"});
  }
  if (!config.boolean_or("multimodal_projector_bias", true)) {
    throw bad_data(config.where() + ": multimodal_projector_bias", "not supported",
                   {.found = "false", .expected = "true"});
  }
  return "mlp2x_gelu";
}

}  // namespace

bool is_llava_hf(const JsonObject& config) {
  return config.string_or("model_type", "") == "llava" && config.has("text_config");
}

ModelConfig read_llava_hf(const JsonObject& config) {
  const Json fields = with_defaults(config.object("text_config"));
  const JsonObject text(fields, config.where() + ": text_config");
  const Family& family = family_of_model_type(text.string("model_type"), text.where() + ": model_type");
  ModelConfig model;
  model.family = family.name;
  model.decoder = family.read(text);
  model.conversation = family.conversation;
  model.projector = projector_of(config);
  VisionConfig vision = read_vision_transformer(config.object("vision_config"), TowerKind::Clip);
  vision.name = config.object("vision_config").string_or("_name_or_path", "vision_config");
  vision.select_layer = config.integer_or("vision_feature_layer", -2, -vision.layers - 1, vision.layers);
  vision.select_class_token = selects_class_token(config);
  model.vision = vision;
  return model;
}

}  // namespace moellava
