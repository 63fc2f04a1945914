// Llama, and what shares its form (SmolLM2).
#include "model/families/family.hpp"

namespace moellava {

namespace {

DecoderConfig read_llama(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm_eps = json.number_or("rms_norm_eps", 1e-6);
  config.activation = activation_by_name(json.string_or("hidden_act", "silu"), json.where() + ": hidden_act");
  config.qkv_bias = config.out_bias = json.boolean_or("attention_bias", false);
  config.mlp_bias = json.boolean_or("mlp_bias", false);
  return config;
}

void write_llama(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["attention_bias"] = config.qkv_bias;
  json["mlp_bias"] = config.mlp_bias;
}

}  // namespace

const Family kLlama = {.name = "llama",
                       .class_name = "Llama",
                       .conversation = "v1",
                       .renames = {},
                       .fused_qkv = false,
                       .read = read_llama,
                       .write = write_llama};

}  // namespace moellava
