// StableLM-2: Llama's block with LayerNorm, partial rotary and biases on q, k, v.
#include "model/families/family.hpp"

namespace moellava {

namespace {

DecoderConfig read_stablelm(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm = NormKind::Layer;
  config.norm_eps = json.number_or("norm_eps", 1e-5);
  config.activation = activation_by_name(json.string_or("hidden_act", "silu"), json.where() + ": hidden_act");
  config.qkv_bias = json.boolean_or("use_qkv_bias", true);
  config.rotary_fraction = json.number_or("rope_pct", 0.25);
  return config;
}

void write_stablelm(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["use_qkv_bias"] = config.qkv_bias;
  json["rope_pct"] = config.rotary_fraction;
}

}  // namespace

const Family kStableLm = {.name = "stablelm",
                          .class_name = "Stablelm",
                          .conversation = "stablelm",
                          .renames = {},
                          .fused_qkv = false,
                          .read = read_stablelm,
                          .write = write_stablelm};

}  // namespace moellava
