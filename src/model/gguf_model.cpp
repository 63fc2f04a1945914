#include "model/gguf_model.hpp"

#include "base/error.hpp"

namespace moellava {

namespace {

struct Spelling {
  std::string_view canonical;
  std::string_view gguf;
};
constexpr Spelling kOuter[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                               {"model.norm.weight", "output_norm.weight"},
                               {"lm_head.weight", "output.weight"}};
constexpr Spelling kInner[] = {{"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
                               {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
                               {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
                               {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
                               {"mlp.down_proj", "ffn_down"}};

int64_t bounded(const GgufFile& file, const std::string& key, int64_t low, int64_t high) {
  const int64_t value = file.integer(key);
  if (value < low || value > high) {
    throw bad_data(
        file.tensors.path + ": " + key, "out of range",
        {.found = std::to_string(value), .expected = std::to_string(low) + " to " + std::to_string(high)});
  }
  return value;
}

std::optional<int32_t> optional_id(const GgufFile& file, const std::string& key) {
  if (!file.has(key)) return std::nullopt;
  return static_cast<int32_t>(bounded(file, key, 0, INT32_MAX));
}

}  // namespace

ModelConfig gguf_model_config(const GgufFile& file) {
  const std::string& architecture = file.string("general.architecture");
  if (architecture != "llama") {
    throw bad_data(file.tensors.path + ": general.architecture", "unsupported",
                   {.found = "\"" + printable(architecture) + "\"", .expected = "\"llama\""});
  }
  ModelConfig config;
  config.family = "llama";
  DecoderConfig& decoder = config.decoder;
  decoder.vocab_size = static_cast<int64_t>(file.strings("tokenizer.ggml.tokens").size());
  decoder.hidden_size = bounded(file, "llama.embedding_length", 1, 1 << 17);
  decoder.layers = bounded(file, "llama.block_count", 1, 4096);
  decoder.intermediate_size = bounded(file, "llama.feed_forward_length", 1, 1 << 20);
  decoder.heads = bounded(file, "llama.attention.head_count", 1, 4096);
  decoder.kv_heads = file.has("llama.attention.head_count_kv")
                         ? bounded(file, "llama.attention.head_count_kv", 1, 4096)
                         : decoder.heads;
  decoder.max_positions = bounded(file, "llama.context_length", 1, 1 << 30);
  decoder.norm_eps = file.number("llama.attention.layer_norm_rms_epsilon");
  decoder.rope_theta = file.has("llama.rope.freq_base") ? file.number("llama.rope.freq_base") : 10000.0;
  decoder.tie_embeddings = file.tensors.find("output.weight") == nullptr;
  if (decoder.hidden_size % decoder.heads != 0 || decoder.heads % decoder.kv_heads != 0 ||
      decoder.head_dim() % 2 != 0) {
    throw bad_data(file.tensors.path + ": llama.attention.head_count", "heads do not divide the width");
  }
  const auto eos = optional_id(file, "tokenizer.ggml.eos_token_id");
  const auto bos = optional_id(file, "tokenizer.ggml.bos_token_id");
  const auto pad = optional_id(file, "tokenizer.ggml.padding_token_id");
  if (eos) config.eos_id = *eos;
  if (bos) config.bos_id = *bos;
  if (pad) config.pad_id = *pad;
  const bool chatml = file.has("tokenizer.chat_template") &&
                      file.string("tokenizer.chat_template").find("<|im_start|>") != std::string::npos;
  config.conversation = chatml ? "chatml" : "v1";
  return config;
}

WeightRef gguf_weight(const std::string& parameter, const DecoderConfig& config) {
  for (const Spelling& spelling : kOuter) {
    if (parameter == spelling.canonical) return {.name = std::string(spelling.gguf)};
  }
  constexpr std::string_view kLayers = "model.layers.";
  if (!parameter.starts_with(kLayers)) return {.name = parameter};
  const size_t dot = parameter.find('.', kLayers.size());
  const std::string layer = parameter.substr(kLayers.size(), dot - kLayers.size());
  const std::string rest = parameter.substr(dot + 1);
  for (const Spelling& spelling : kInner) {
    if (!rest.starts_with(spelling.canonical)) continue;
    WeightRef ref{.name = "blk." + layer + "." + std::string(spelling.gguf) +
                          rest.substr(spelling.canonical.size())};
    // llama.cpp stores the rows of q and k so that rotary pairs are neighbours.
    if (spelling.gguf == "attn_q") ref.interleaved_heads = config.heads;
    if (spelling.gguf == "attn_k") ref.interleaved_heads = config.kv_heads;
    return ref;
  }
  return {.name = parameter};
}

std::unique_ptr<Tokenizer> gguf_tokenizer(const GgufFile& file) {
  GgufVocabulary vocabulary;
  vocabulary.model = file.string("tokenizer.ggml.model");
  vocabulary.pre = file.has("tokenizer.ggml.pre") ? file.string("tokenizer.ggml.pre") : "";
  vocabulary.tokens = file.strings("tokenizer.ggml.tokens");
  vocabulary.types = file.integers("tokenizer.ggml.token_type");
  vocabulary.merges = file.strings("tokenizer.ggml.merges");
  vocabulary.bos_id = optional_id(file, "tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = optional_id(file, "tokenizer.ggml.eos_token_id");
  vocabulary.pad_id = optional_id(file, "tokenizer.ggml.padding_token_id");
  if (file.has("tokenizer.chat_template")) vocabulary.chat_template = file.string("tokenizer.chat_template");
  return make_gguf_tokenizer(std::move(vocabulary), file.tensors.path);
}

}  // namespace moellava
