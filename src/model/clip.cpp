#include "model/clip.hpp"

namespace moellava {

ClipTower::ClipTower(const VisionConfig& config) : config_(config) {
  const int64_t width = config.hidden_size;
  const int64_t patches = config.grid() * config.grid();
  patch_embedding_ = new_parameter({width, 3, config.patch_size, config.patch_size});
  if (config.has_class_token()) {
    class_embedding_ = new_parameter({width});
    position_embedding_ = new_parameter({1 + patches, width});
    pre_layernorm_ = Norm(NormKind::Layer, width, config.norm_eps);
  } else {
    patch_bias_ = new_parameter({width});
    position_embedding_ = new_parameter({patches, width});
  }
  const AttentionConfig attention{.width = width,
                                  .heads = config.heads,
                                  .kv_heads = config.heads,
                                  .head_dim = width / config.heads,
                                  .qkv_bias = true,
                                  .out_bias = true};
  for (int64_t i = 0; i < config.layers; ++i) {
    layers_.push_back({.layer_norm1 = Norm(NormKind::Layer, width, config.norm_eps),
                       .self_attn = Attention(attention),
                       .layer_norm2 = Norm(NormKind::Layer, width, config.norm_eps),
                       .fc1 = Linear(width, config.intermediate_size, /*with_bias=*/true),
                       .fc2 = Linear(config.intermediate_size, width, /*with_bias=*/true)});
  }
  post_layernorm_ = Norm(NormKind::Layer, width, config.norm_eps);
}

at::Tensor ClipTower::embeddings(const at::Tensor& pixels) const {
  // [B, H, grid, grid] -> [B, grid * grid, H]
  const at::Tensor patches =
      at::conv2d(pixels, patch_embedding_, patch_bias_, config_.patch_size).flatten(2).transpose(1, 2);
  if (!config_.has_class_token()) return patches + position_embedding_;
  const at::Tensor class_token = class_embedding_.expand({pixels.size(0), 1, config_.hidden_size});
  return pre_layernorm_(at::cat({class_token, patches}, 1) + position_embedding_);
}

std::vector<at::Tensor> ClipTower::hidden_states(const at::Tensor& pixels) const {
  at::Tensor x = embeddings(pixels);
  std::vector<at::Tensor> states{x};
  const int64_t last =
      config_.select_layer < 0 ? config_.layers + 1 + config_.select_layer : config_.select_layer;
  for (int64_t i = 0; i < last; ++i) {
    const ClipLayer& layer = layers_[static_cast<size_t>(i)];
    x = x + layer.self_attn.full(layer.layer_norm1(x));
    x = x + layer.fc2(activate(config_.activation, layer.fc1(layer.layer_norm2(x))));
    states.push_back(x);
  }
  return states;
}

at::Tensor ClipTower::features(const at::Tensor& pixels) const {
  const at::Tensor selected = hidden_states(pixels).back();
  return config_.select_class_token ? selected : selected.narrow(1, 1, selected.size(1) - 1);
}

void ClipTower::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  const std::string embedding_names = prefix + ".vision_model.embeddings";
  if (config_.has_class_token()) visitor(embedding_names + ".class_embedding", class_embedding_);
  visitor(embedding_names + ".patch_embedding.weight", patch_embedding_);
  if (patch_bias_.defined()) visitor(embedding_names + ".patch_embedding.bias", patch_bias_);
  visitor(embedding_names + ".position_embedding.weight", position_embedding_);
  if (config_.has_class_token())  // sic, as in every CLIP checkpoint
    pre_layernorm_.visit(prefix + ".vision_model.pre_layrnorm", visitor);
  for (size_t i = 0; i < layers_.size(); ++i) {
    ClipLayer& layer = layers_[i];
    const std::string name = prefix + ".vision_model.encoder.layers." + std::to_string(i);
    layer.layer_norm1.visit(name + ".layer_norm1", visitor);
    layer.self_attn.visit(name + ".self_attn", visitor, "out_proj");
    layer.layer_norm2.visit(name + ".layer_norm2", visitor);
    layer.fc1.visit(name + ".mlp.fc1", visitor);
    layer.fc2.visit(name + ".mlp.fc2", visitor);
  }
  post_layernorm_.visit(prefix + ".vision_model.post_layernorm", visitor);
}

}  // namespace moellava
