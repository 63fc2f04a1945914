#include "model/decoder.hpp"

#include <algorithm>

namespace moellava {

namespace {

FeedForwardConfig feed_forward_config(const DecoderConfig& config) {
  return {.width = config.hidden_size,
          .inner = config.intermediate_size,
          .gated = config.gated_mlp,
          .bias = config.mlp_bias,
          .activation = config.activation};
}

AttentionConfig attention_config(const DecoderConfig& config) {
  return {.width = config.hidden_size,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim(),
          .qkv_bias = config.qkv_bias,
          .out_bias = config.out_bias,
          .window = config.attention_window};
}

MoeLayerConfig moe_layer_config(const MoeConfig& moe, size_t index) {
  return {.experts = moe.experts[index],
          .top_k = moe.top_k,
          .capacity_factor = moe.capacity_factor,
          .eval_capacity_factor = moe.eval_capacity_factor,
          .min_capacity = moe.min_capacity,
          .use_residual = moe.use_residual};
}

// [B, 1, T, T] bool: causal, and padding seen by nobody. Undefined when there is none.
at::Tensor seen_keys(const std::vector<int64_t>& lengths, int64_t count, int64_t window) {
  const bool padded =
      std::any_of(lengths.begin(), lengths.end(), [&](int64_t length) { return length < count; });
  if (!padded) return {};
  const at::Tensor position = at::arange(count, at::kLong).unsqueeze(0);           // [1, T]
  const at::Tensor real = position < at::tensor(lengths, at::kLong).unsqueeze(1);  // [B, T]
  const at::Tensor causal = causal_mask(count, 0, window);                         // [T, T]
  return causal.logical_and(real.unsqueeze(1)).unsqueeze(1);
}

at::Tensor scaled(const at::Tensor& x, double scale) {
  return scale == 1 ? x : x * scale;
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const MoeConfig& moe)
    : config_(config), embed_tokens_(new_parameter({config.vocab_size, config.hidden_size})) {
  for (int64_t i = 0; i < config.layers; ++i) {
    DecoderLayer layer;
    layer.input_layernorm = Norm(config.norm, config.hidden_size, config.norm_eps);
    layer.self_attn = Attention(attention_config(config));
    if (config.residual == Residual::Sequential) {
      layer.post_attention_layernorm = Norm(config.norm, config.hidden_size, config.norm_eps);
    }
    const auto found = std::find(moe.layers.begin(), moe.layers.end(), i);
    if (found == moe.layers.end()) {
      layer.mlp = FeedForward(feed_forward_config(config));
    } else {
      const auto index = static_cast<size_t>(found - moe.layers.begin());
      layer.moe = MoeLayer(moe_layer_config(moe, index), feed_forward_config(config));
    }
    layers_.push_back(std::move(layer));
  }
  norm_ = Norm(config.norm, config.hidden_size, config.norm_eps);
  if (!config.tie_embeddings) lm_head_ = Linear(config.hidden_size, config.vocab_size, /*with_bias=*/false);
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
  return scaled(at::embedding(embed_tokens_, ids).to(at::kFloat), config_.embedding_scale);
}

RotaryConfig Decoder::rotary_config(int64_t length) const {
  // Rounded down to even: halves turn in pairs.
  const auto dims =
      static_cast<int64_t>(config_.rotary_fraction * static_cast<double>(config_.head_dim())) / 2 * 2;
  RotaryConfig rotary{.dims = dims, .theta = config_.rope_theta};
  if (config_.dynamic_ntk_length > 0 && length > config_.dynamic_ntk_length)
    rotary.theta = dynamic_ntk_theta(rotary, length, config_.dynamic_ntk_length);
  return rotary;
}

// Both of Qwen's rules for long contexts rest in training. Tokens written behind a prompt turn as the prompt
// did, as its keys stand in the cache.
RotaryTable Decoder::rotary(const DecoderRun& run, int64_t cached, int64_t count) const {
  RotaryConfig rotary = rotary_config(run.moe.training ? 0 : count);
  if (cached > 0) rotary.theta = run.cache->rotary_theta;
  if (run.cache != nullptr) run.cache->rotary_theta = rotary.theta;
  RotaryTable table = rotary_table(rotary, cached, count);
  if (config_.logn_length > 0 && !run.moe.training)
    table.query_scale = logn_scale(cached, count, config_.logn_length);
  return table;
}

DecoderOutput Decoder::forward(const at::Tensor& embeddings, const DecoderRun& run) const {
  const int64_t cached = run.cache != nullptr ? run.cache->length : 0;
  const int64_t count = embeddings.size(1);
  const RotaryTable turning = rotary(run, cached, count);
  const at::Tensor seen = seen_keys(run.lengths, count, config_.attention_window);

  DecoderOutput output;
  // The feed-forward of a layer, dense or sparse; MoE sees the batch as one list of rows.
  auto feed_forward = [&](const DecoderLayer& layer, const at::Tensor& x) {
    if (!layer.moe) return layer.mlp(x);
    const auto index = static_cast<int64_t>(output.routing.size());
    at::Tensor noise;
    if (run.moe.router_noise.defined()) {
      noise = run.moe.router_noise[index];
    } else if (run.moe.gumbel_seed) {
      noise = gumbel_noise(*run.moe.gumbel_seed, index, cached, count, layer.moe->config.experts);
      noise = noise.repeat({x.size(0), 1});  // a sample's noise does not depend on its neighbours
    }
    MoeOutput moe = (*layer.moe)(x.flatten(0, 1), run.moe, noise);
    output.balance_loss =
        output.balance_loss.defined() ? output.balance_loss + moe.balance_loss : moe.balance_loss;
    output.routing.push_back(std::move(moe.routing));
    return moe.hidden.view_as(x);
  };

  at::Tensor x = embeddings;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const DecoderLayer& layer = layers_[i];
    if (run.hidden != nullptr) run.hidden->push_back(x);
    LayerCache* cache = run.cache != nullptr ? &run.cache->layers[i] : nullptr;
    const at::Tensor normed = layer.input_layernorm(x);
    const at::Tensor attended =
        scaled(layer.self_attn.causal(normed, turning, cache, cached, seen), config_.residual_scale);
    if (config_.residual == Residual::Parallel) {
      x = x + attended + scaled(feed_forward(layer, normed), config_.residual_scale);
    } else {
      x = x + attended;
      x = x + scaled(feed_forward(layer, layer.post_attention_layernorm(x)), config_.residual_scale);
    }
  }
  if (run.cache != nullptr) run.cache->length += count;
  output.hidden = norm_(x);
  if (run.hidden != nullptr) run.hidden->push_back(output.hidden);
  return output;
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  const at::Tensor x = scaled(hidden, config_.logit_scale);
  return (config_.tie_embeddings ? apply_linear(x, embed_tokens_) : lm_head_(x)).to(at::kFloat);
}

KvCache Decoder::make_cache(int64_t batch, int64_t capacity) const {
  KvCache cache;
  cache.capacity = capacity;
  for (int64_t i = 0; i < config_.layers; ++i) {
    const at::Tensor room = at::empty({batch, config_.kv_heads, capacity, config_.head_dim()});
    cache.layers.push_back({room, at::empty_like(room)});
  }
  return cache;
}

void Decoder::visit(const ParameterVisitor& visitor) {
  visitor("model.embed_tokens.weight", embed_tokens_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    DecoderLayer& layer = layers_[i];
    const std::string prefix = "model.layers." + std::to_string(i);
    layer.input_layernorm.visit(prefix + ".input_layernorm", visitor);
    layer.self_attn.visit(prefix + ".self_attn", visitor);
    if (config_.residual == Residual::Sequential) {
      layer.post_attention_layernorm.visit(prefix + ".post_attention_layernorm", visitor);
    }
    if (layer.moe) {
      layer.moe->visit(prefix + ".mlp", visitor);
    } else {
      layer.mlp.visit(prefix + ".mlp", visitor);
    }
  }
  norm_.visit("model.norm", visitor);
  if (!config_.tie_embeddings) lm_head_.visit("lm_head", visitor);
}

}  // namespace moellava
