// Qwen (version 1): Llama's block under other names; q, k, v in one tensor; w2 is the gate; intermediate_size
// counts gate and up together.
#include <algorithm>

#include "model/families/family.hpp"

namespace moellava {

namespace {

constexpr Rename kQwenNames[] = {{"model.embed_tokens", "transformer.wte"},
                                 {"model.layers.", "transformer.h."},
                                 {"model.norm.", "transformer.ln_f."},
                                 {"model.mm_projector", "transformer.mm_projector"},
                                 {"model.image_tower", "transformer.image_tower"},
                                 {".input_layernorm", ".ln_1"},
                                 {".post_attention_layernorm", ".ln_2"},
                                 {".self_attn.q_proj", ".attn.c_attn"},
                                 {".self_attn.k_proj", ".attn.c_attn"},
                                 {".self_attn.v_proj", ".attn.c_attn"},
                                 {".self_attn.o_proj", ".attn.c_proj"},
                                 {".gate_proj", ".w2"},
                                 {".up_proj", ".w1"},
                                 {".down_proj", ".c_proj"}};

DecoderConfig read_qwen(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.intermediate_size /= 2;
  config.norm_eps = json.number_or("layer_norm_epsilon", 1e-6);
  config.qkv_bias = true;
  config.embedding_dropout = read_dropout(json, "emb_dropout_prob");
  config.attention_dropout = read_dropout(json, "attn_dropout_prob");
  config.rotary_fraction = json.number_or("rotary_pct", 1.0);
  config.rope_theta = json.number_or("rotary_emb_base", 10000);
  const int64_t native = json.integer_or("seq_length", 8192, 2, 1 << 30);
  if (json.boolean_or("use_dynamic_ntk", true)) config.dynamic_ntk_length = native;
  if (json.boolean_or("use_logn_attn", true)) config.logn_length = native;
  return config;
}

void write_qwen(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json.erase("num_key_value_heads");
  json.erase("rope_theta");
  json.erase("attention_dropout");
  json["intermediate_size"] = config.intermediate_size * 2;
  json["layer_norm_epsilon"] = config.norm_eps;
  json["emb_dropout_prob"] = config.embedding_dropout;
  json["attn_dropout_prob"] = config.attention_dropout;
  json["rotary_pct"] = config.rotary_fraction;
  json["rotary_emb_base"] = config.rope_theta;
  if (const int64_t native = std::max(config.dynamic_ntk_length, config.logn_length); native > 0)
    json["seq_length"] = native;
  json["use_dynamic_ntk"] = config.dynamic_ntk_length > 0;
  json["use_logn_attn"] = config.logn_length > 0;
}

}  // namespace

const Family kQwen = {.name = "qwen",
                      .class_name = "QWen",
                      .conversation = "qwen",
                      .renames = kQwenNames,
                      .fused_qkv = true,
                      .read = read_qwen,
                      .write = write_qwen};

}  // namespace moellava
