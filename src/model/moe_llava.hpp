// MoE-LLaVA: tower -> projector -> splice -> decoder -> logits. The one model definition that training, chat,
// evaluation and analysis share.
#pragma once

#include <optional>

#include "model/projector.hpp"
#include "model/splice.hpp"
#include "model/vision_tower.hpp"

namespace moellava {

class MoeLlava {
 public:
  // Parameters are reserved, not set: model/load.hpp fills them.
  explicit MoeLlava(const ModelConfig& config);

  const ModelConfig& config() const { return config_; }
  bool sees() const { return tower_.has_value(); }
  // Takes all weights there, and with them what is computed.
  void to(at::Device device);

  // Pictures' features before the projector: [M, 3, S, S] -> [M, N, mm_hidden_size].
  at::Tensor encode_images(const at::Tensor& pixels) const;
  // Features to the decoder's width: [M, N, mm_hidden_size] -> [M, image_tokens(config()), H]. Differentiable
  // in the projector.
  at::Tensor project(const at::Tensor& features) const { return projector_(features.to(decoder_.device())); }

  Decoder& decoder() { return decoder_; }
  const Decoder& decoder() const { return decoder_; }

  // Canonical names (Llama's spelling): "model.layers.0.self_attn.q_proj.weight", "lm_head.weight",
  // "model.mm_projector.image_spatial_proj.0.weight", "model.image_tower.image_tower.<tower's own name>".
  void visit(const ParameterVisitor& visitor);

 private:
  ModelConfig config_;
  Decoder decoder_;
  std::optional<VisionTower> tower_;
  Projector projector_;
};

// Sizes as reports give them. `active`: with top-k of the experts at work; an expert's row of the router
// counts with it.
struct ParameterCount {
  int64_t total = 0;          // everything
  int64_t active = 0;         // everything less the silent experts
  int64_t decoder_total = 0;  // without tower and projector, as the paper counts
  int64_t decoder_active = 0;
};
ParameterCount count_parameters(MoeLlava& model);

}  // namespace moellava
