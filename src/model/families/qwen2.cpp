// Qwen1.5 and Qwen2: Llama's block with biases on q, k, v. MoE-LLaVA calls its models on it "qwen1_5".
#include "base/error.hpp"
#include "model/families/family.hpp"

namespace moellava {

namespace {

DecoderConfig read_qwen2(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm_eps = json.number_or("rms_norm_eps", 1e-6);
  config.activation = activation_by_name(json.string_or("hidden_act", "silu"), json.where() + ": hidden_act");
  config.qkv_bias = true;
  // It would hold for some layers only (max_window_layers); no published model uses it.
  if (json.boolean_or("use_sliding_window", false)) {
    throw bad_data(json.where() + ": use_sliding_window", "not supported", {.expected = "false"});
  }
  return config;
}

void write_qwen2(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["use_sliding_window"] = false;
}

}  // namespace

const Family kQwen2 = {.name = "qwen2",
                       .class_name = "Qwen2",
                       .llava_name = "qwen1_5",
                       .llava_class_name = "Qwen1_5",
                       .conversation = "qwen",
                       .renames = {},
                       .fused_qkv = false,
                       .read = read_qwen2,
                       .write = write_qwen2};

}  // namespace moellava
