// Phi-2: parallel block, LayerNorm, partial rotary, ungated feed-forward, biases everywhere but in the
// lm_head.
#include "base/error.hpp"
#include "model/families/family.hpp"

namespace moellava {

namespace {

constexpr Rename kPhiNames[] = {{".self_attn.o_proj", ".self_attn.dense"},
                                {".up_proj", ".fc1"},
                                {".down_proj", ".fc2"},
                                {"model.norm.", "model.final_layernorm."}};

DecoderConfig read_phi(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm = NormKind::Layer;
  config.norm_eps = json.number_or("layer_norm_eps", 1e-5);
  config.residual = Residual::Parallel;
  config.gated_mlp = false;
  config.activation =
      activation_by_name(json.string_or("hidden_act", "gelu_new"), json.where() + ": hidden_act");
  config.qkv_bias = config.out_bias = config.mlp_bias = true;
  config.embedding_dropout = read_dropout(json, "embd_pdrop");
  config.residual_dropout = read_dropout(json, "resid_pdrop");
  config.rotary_fraction = json.number_or("partial_rotary_factor", 0.5);
  if (json.boolean_or("qk_layernorm", false))
    throw bad_data(json.where() + ": qk_layernorm", "not supported");
  return config;
}

void write_phi(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["layer_norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["embd_pdrop"] = config.embedding_dropout;
  json["resid_pdrop"] = config.residual_dropout;
  json["partial_rotary_factor"] = config.rotary_fraction;
}

}  // namespace

const Family kPhi = {.name = "phi",
                     .class_name = "Phi",
                     .conversation = "phi",
                     .renames = kPhiNames,
                     .fused_qkv = false,
                     .read = read_phi,
                     .write = write_phi};

}  // namespace moellava
