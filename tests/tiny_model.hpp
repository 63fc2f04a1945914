// A model small enough to run whole in a test, and its parts.
#pragma once

#include "model/moe_llava.hpp"
#include "tests/testing.hpp"

namespace moellava::testing {

// 4 layers of width 16, two heads that share their keys.
inline DecoderConfig tiny_decoder_config(int64_t vocab_size = 260) {
  return {.vocab_size = vocab_size,
          .hidden_size = 16,
          .intermediate_size = 24,
          .layers = 4,
          .heads = 2,
          .kv_heads = 1};
}

// The same with what makes a family; lengths and windows are such that short prompts meet them.
inline DecoderConfig tiny_decoder_config_of(const std::string& family, int64_t vocab_size = 260) {
  DecoderConfig config = tiny_decoder_config(vocab_size);
  if (family == "phi") {
    config.norm = NormKind::Layer;
    config.residual = Residual::Parallel;
    config.gated_mlp = false;
    config.activation = Activation::GeluTanh;
    config.qkv_bias = config.out_bias = config.mlp_bias = true;
    config.rotary_fraction = 0.5;
  } else if (family == "stablelm") {
    config.norm = NormKind::Layer;
    config.qkv_bias = true;
    config.rotary_fraction = 0.5;
  } else if (family == "qwen") {
    config.qkv_bias = true;
    config.kv_heads = config.heads;
    config.dynamic_ntk_length = config.logn_length = 5;
  } else if (family == "qwen2") {
    config.qkv_bias = true;
  } else if (family == "mistral") {
    config.attention_window = 4;
  } else if (family == "minicpm") {
    config.embedding_scale = 12;
    config.residual_scale = 0.5;
    config.logit_scale = 0.25;
  }
  return config;
}

// Layers 0 and 2 with 4 experts, of which a token gets 2; there is room for everybody unless in training.
inline MoeConfig tiny_moe_config() {
  MoeConfig moe;
  moe.layers = {0, 2};
  moe.experts = {4, 4};
  moe.capacity_factor = 1.5;
  return moe;
}

// CLIP of width 8 over pictures of 16 pixels: 4 visual tokens.
inline VisionConfig tiny_vision_config() {
  VisionConfig vision;
  vision.hidden_size = 8;
  vision.intermediate_size = 16;
  vision.layers = 2;
  vision.heads = 2;
  vision.image_size = 16;
  vision.patch_size = 8;
  return vision;
}

inline ModelConfig tiny_config(bool sparse) {
  ModelConfig config;
  config.family = "llama";
  config.decoder = tiny_decoder_config();
  if (sparse) config.moe = tiny_moe_config();
  config.vision = tiny_vision_config();
  config.preprocess.size = 16;
  return config;
}

// Gives every parameter of a decoder or a whole model reproducible values in [-1, 1).
template <typename Module>
void fill_random(Module& module) {
  uint64_t stream = 0;
  module.visit(
      [&](const std::string&, at::Tensor& tensor) { tensor = random_tensor(tensor.sizes(), ++stream); });
}

inline Decoder random_decoder(const DecoderConfig& config, const MoeConfig& moe = {}) {
  Decoder decoder(config, moe);
  fill_random(decoder);
  return decoder;
}

}  // namespace moellava::testing
