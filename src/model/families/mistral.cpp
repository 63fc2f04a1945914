// Mistral (OpenChat): Llama's block; a position may see only a window of those before it.
#include "model/families/family.hpp"

namespace moellava {

namespace {

constexpr int64_t kDefaultWindow = 4096;  // where config.json is silent; null is no window

DecoderConfig read_mistral(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm_eps = json.number_or("rms_norm_eps", 1e-6);
  config.activation = activation_by_name(json.string_or("hidden_act", "silu"), json.where() + ": hidden_act");
  const bool no_window = json.raw().contains("sliding_window") && !json.has("sliding_window");
  const int64_t window = json.integer_or("sliding_window", kDefaultWindow, 1, 1 << 30);
  if (!no_window && window < config.max_positions) config.attention_window = window;
  return config;
}

void write_mistral(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["sliding_window"] = nullptr;
  if (config.attention_window > 0) json["sliding_window"] = config.attention_window;
}

}  // namespace

const Family kMistral = {.name = "mistral",
                         .class_name = "Mistral",
                         .conversation = "mistral",
                         .conversation_of_token = "openchat",
                         .renames = {},
                         .fused_qkv = false,
                         .read = read_mistral,
                         .write = write_mistral};

}  // namespace moellava
