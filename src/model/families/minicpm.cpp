// MiniCPM: Llama's block under three scales.
#include <cmath>

#include "base/error.hpp"
#include "model/families/family.hpp"

namespace moellava {

namespace {

double positive(const JsonObject& json, std::string_view key, double fallback) {
  const double value = json.number_or(key, fallback);
  if (!(value > 0)) {
    throw bad_data(json.where() + ": " + std::string(key), "out of range",
                   {.found = std::to_string(value), .expected = "a positive number"});
  }
  return value;
}

// What the rows of words are multiplied by. A text-only MiniCPM says it in scale_emb. MoE-LLaVA trains its
// multimodal MiniCPMs on embeddings without it (a batch always holds pictures, and what puts them into the
// text embeds plainly), yet its decoding multiplies the tokens it writes, which no training ever showed the
// model. We do what the weights learned: no scale, for the prompt and for every token after it. A MiniCPM
// that gains sight here keeps the scale that its language model knows, and says so in mm_scale_emb.
double embedding_scale(const JsonObject& json) {
  const bool llava = json.string_or("model_type", "").find("llava") != std::string::npos;
  const double plain = positive(json, "scale_emb", 1);
  return positive(json, "mm_scale_emb", llava ? 1 : plain);
}

DecoderConfig read_minicpm(const JsonObject& json) {
  DecoderConfig config = read_common_decoder(json);
  config.norm_eps = json.number_or("rms_norm_eps", 1e-6);
  config.activation = activation_by_name(json.string_or("hidden_act", "silu"), json.where() + ": hidden_act");
  config.qkv_bias = config.out_bias = json.boolean_or("attention_bias", false);
  config.tie_embeddings = json.boolean_or("tie_word_embeddings", true);
  config.embedding_scale = embedding_scale(json);
  config.residual_scale = positive(json, "scale_depth", 1) / std::sqrt(static_cast<double>(config.layers));
  config.logit_scale = positive(json, "dim_model_base", 1) / static_cast<double>(config.hidden_size);
  return config;
}

void write_minicpm(const DecoderConfig& config, Json& json) {
  write_common_decoder(config, json);
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = activation_name(config.activation);
  json["attention_bias"] = config.qkv_bias;
  json["scale_emb"] = json["mm_scale_emb"] = config.embedding_scale;
  json["scale_depth"] = config.residual_scale * std::sqrt(static_cast<double>(config.layers));
  json["dim_model_base"] = config.logit_scale * static_cast<double>(config.hidden_size);
}

}  // namespace

const Family kMiniCpm = {.name = "minicpm",
                         .class_name = "MiniCPM",
                         .conversation = "minicpm",
                         .renames = {},
                         .fused_qkv = false,
                         .read = read_minicpm,
                         .write = write_minicpm};

}  // namespace moellava
