#include "model/decoder.hpp"

#include <algorithm>

#include "nn/dropout.hpp"
#include "nn/recompute.hpp"

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

// [B, cached + T] bool: what is not padding, in the cache, which remembers it, and behind it; undefined when
// nothing is padding.
at::Tensor real_keys(const DecoderRun& run, int64_t batch, int64_t count) {
  at::Tensor added = real_positions(run.lengths, count, run.padding);
  if (run.cache == nullptr) return added;
  KvCache& cache = *run.cache;
  const int64_t cached = cache.length;
  at::Tensor before = cached > 0 ? cache.real : at::Tensor();  // a cache may begin anew
  if (before.defined() || added.defined()) {
    if (!before.defined()) before = at::ones({batch, cached}, at::kBool);
    if (!added.defined()) added = at::ones({batch, count}, at::kBool);
    added = at::cat({before.narrow(1, 0, cached), added}, 1);
  }
  cache.real = added;
  return added;
}

// Which of the B * T rows are a sample's.
std::vector<SampleRows> rows_of_samples(const DecoderRun& run, int64_t batch, int64_t count) {
  std::vector<SampleRows> samples;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = run.lengths.empty() ? count : run.lengths[static_cast<size_t>(b)];
    const int64_t before = run.padding == PaddingSide::Left ? count - length : 0;
    samples.push_back({.begin = b * count + before, .count = length});
  }
  return samples;
}

// Of tensors that may be undefined.
at::Tensor sum_of(const at::Tensor& sum, const at::Tensor& x) {
  return sum.defined() && x.defined() ? sum + x : x;
}

at::Tensor scaled(const at::Tensor& x, double scale) {
  return scale == 1 ? x : x * scale;
}

// What the config drops in training. Streams: 0 the embeddings, then two of each layer.
at::Tensor dropped(const at::Tensor& x, double probability, const DecoderRun& run, uint64_t stream) {
  if (!run.moe.training) return x;
  return drop_values(x, {.probability = probability, .key = run.dropout_key}, stream);
}

// What remains to be told of a routing when what it was computed from is forgotten.
Routing detached(Routing routing) {
  routing.logits = routing.logits.detach();
  routing.weight = routing.weight.detach();
  routing.balance_loss = routing.balance_loss.detach();
  return routing;
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
  return scaled(at::embedding(embed_tokens_, ids.to(device())).to(at::kFloat), config_.embedding_scale);
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

Decoder::Batch Decoder::lay_out(const at::Tensor& embeddings, const DecoderRun& run) const {
  Batch batch{.size = embeddings.size(0),
              .cached = run.cache != nullptr ? run.cache->length : 0,
              .count = embeddings.size(1)};
  if (const at::Tensor real = real_keys(run, batch.size, batch.count); real.defined()) {
    batch.seen = to_weights(seen_keys(real, batch.count, config_.attention_window));
    const at::Tensor own = own_positions(real).narrow(1, batch.cached, batch.count);
    const at::Tensor usual = at::arange(batch.cached, batch.cached + batch.count);
    if (!own.eq(usual).all().item<bool>()) batch.positions = own;
  }
  if (!run.moe.training && (batch.size > 1 || batch.seen.defined()))
    batch.samples = rows_of_samples(run, batch.size, batch.count);
  return batch;
}

// Both of Qwen's rules for long contexts rest in training. Tokens written behind a prompt turn as the prompt
// did, as its keys stand in the cache.
RotaryTable Decoder::rotary(const DecoderRun& run, const Batch& batch) const {
  std::vector<double> theta;  // [B]
  if (batch.cached > 0) {
    theta = run.cache->rotary_theta;
  } else {
    theta.assign(static_cast<size_t>(batch.size), rotary_config(run.moe.training ? 0 : batch.count).theta);
    for (size_t b = 0; b < run.lengths.size() && !run.moe.training; ++b)
      theta[b] = rotary_config(run.lengths[b]).theta;
  }
  if (run.cache != nullptr) run.cache->rotary_theta = theta;
  const at::Tensor usual = at::arange(batch.cached, batch.cached + batch.count);
  RotaryConfig config = rotary_config(0);
  const auto table_of = [&](size_t b, const at::Tensor& positions) {
    config.theta = theta[b];
    return rotary_table(config, positions);
  };
  RotaryTable table;
  if (!batch.positions.defined() && std::equal(theta.begin() + 1, theta.end(), theta.begin())) {
    table = table_of(0, usual);
  } else {
    std::vector<at::Tensor> cos, sin;
    for (size_t b = 0; b < theta.size(); ++b) {
      const auto row = static_cast<int64_t>(b);
      const RotaryTable own = table_of(b, batch.positions.defined() ? batch.positions[row] : usual);
      cos.push_back(own.cos);
      sin.push_back(own.sin);
    }
    table = {.cos = at::stack(cos).unsqueeze(1), .sin = at::stack(sin).unsqueeze(1), .query_scale = {}};
  }
  if (config_.logn_length > 0 && !run.moe.training) {
    const at::Tensor positions = batch.positions.defined() ? batch.positions.unsqueeze(1) : usual;
    table.query_scale = logn_scale(positions, config_.logn_length);
  }
  table.cos = to_weights(table.cos);
  table.sin = to_weights(table.sin);
  table.query_scale = to_weights(table.query_scale);
  return table;
}

// [B * T, E] of the MoE layer `index`, or undefined. Drawn noise depends on a position in its own sample
// alone.
at::Tensor Decoder::router_noise(const DecoderRun& run, const Batch& batch, int64_t index,
                                 int64_t experts) const {
  if (run.moe.router_noise.defined()) return run.moe.router_noise[index].narrow(1, 0, experts);
  if (!run.moe.gumbel_seed) return {};
  const uint64_t seed = *run.moe.gumbel_seed;
  if (!batch.positions.defined())
    return gumbel_noise(seed, index, batch.cached, batch.count, experts).repeat({batch.size, 1});
  const auto first = batch.positions.min().item<int64_t>();
  const auto last = batch.positions.max().item<int64_t>();
  return gumbel_noise(seed, index, first, last + 1 - first, experts)
      .index_select(0, batch.positions.flatten() - first);
}

DecoderOutput Decoder::forward(const at::Tensor& embeddings, const DecoderRun& run) const {
  const Batch batch = lay_out(embeddings, run);
  const auto pass =
      std::make_shared<const Pass>(Pass{.run = run, .batch = batch, .turning = rotary(run, batch)});
  DecoderOutput output;
  at::Tensor x = dropped(embeddings, config_.embedding_dropout, run, 0);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (run.hidden != nullptr) run.hidden->push_back(x);
    const auto moe_index = static_cast<int64_t>(output.routing.size());
    LayerOutput layer =
        run.recompute ? run_recomputed_layer(i, moe_index, x, pass) : run_layer(i, moe_index, x, *pass);
    x = layer.hidden;
    if (!layer.routing) continue;
    output.balance_loss = sum_of(output.balance_loss, layer.balance_loss);
    output.z_loss = sum_of(output.z_loss, layer.z_loss);
    output.routing.push_back(std::move(*layer.routing));
  }
  if (run.cache != nullptr) run.cache->length += batch.count;
  output.hidden = norm_(x);
  if (run.hidden != nullptr) run.hidden->push_back(output.hidden);
  return output;
}

Decoder::LayerOutput Decoder::run_layer(size_t i, int64_t moe_index, const at::Tensor& x,
                                        const Pass& pass) const {
  const DecoderLayer& layer = layers_[i];
  const DecoderRun& run = pass.run;
  LayerOutput output;
  // Dense or sparse; MoE sees the batch as one list of rows.
  auto feed_forward = [&](const at::Tensor& rows) {
    if (!layer.moe) return layer.mlp(rows);
    const at::Tensor noise = to_weights(router_noise(run, pass.batch, moe_index, layer.moe->config.experts));
    const ExpertEdits edits =
        run.moe.edits.empty() ? ExpertEdits() : run.moe.edits[static_cast<size_t>(moe_index)];
    MoeOutput moe = (*layer.moe)(rows.flatten(0, 1), run.moe, noise, pass.batch.samples, edits);
    output.balance_loss = moe.balance_loss;
    output.z_loss = moe.z_loss;
    output.routing = std::move(moe.routing);
    return moe.hidden.view_as(rows);
  };
  const auto branch = [&](const at::Tensor& added, uint64_t number) {
    return scaled(dropped(added, config_.residual_dropout, run, 1 + 2 * i + number), config_.residual_scale);
  };
  LayerCache* cache = run.cache != nullptr ? &run.cache->layers[i] : nullptr;
  const at::Tensor normed = layer.input_layernorm(x);
  const at::Tensor attended =
      layer.self_attn.causal(normed, pass.turning, cache, pass.batch.cached, pass.batch.seen);
  const at::Tensor sum = x + branch(attended, 0);
  const bool parallel = config_.residual == Residual::Parallel;
  output.hidden = sum + branch(feed_forward(parallel ? normed : layer.post_attention_layernorm(sum)), 1);
  return output;
}

Decoder::LayerOutput Decoder::run_recomputed_layer(size_t i, int64_t moe_index, const at::Tensor& x,
                                                   const std::shared_ptr<const Pass>& pass) const {
  LayerOutput output;
  const NetworkPart part = [this, i, moe_index, pass, &output](const at::Tensor& input, bool again) {
    LayerOutput layer = run_layer(i, moe_index, input, *pass);
    std::vector<at::Tensor> results{layer.hidden};
    if (layer.balance_loss.defined()) results.push_back(layer.balance_loss);
    if (layer.z_loss.defined()) results.push_back(layer.z_loss);
    if (!again && layer.routing)
      output.routing = detached(*layer.routing);  // `output` is gone when called again
    return results;
  };
  const std::vector<at::Tensor> results = recomputed(part, x);
  output.hidden = results[0];
  if (results.size() > 1) output.balance_loss = results[1];
  if (results.size() > 2) output.z_loss = results[2];
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
    const at::Tensor room = at::empty({batch, config_.kv_heads, capacity, config_.head_dim()},
                                      at::TensorOptions(at::kFloat).device(device()));
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

void Decoder::visit_linears(const LinearVisitor& visitor) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    DecoderLayer& layer = layers_[i];
    const std::string prefix = "model.layers." + std::to_string(i);
    layer.self_attn.visit_linears(prefix + ".self_attn", visitor);
    if (layer.moe) {
      layer.moe->visit_linears(prefix + ".mlp", visitor);
    } else {
      layer.mlp.visit_linears(prefix + ".mlp", visitor);
    }
  }
  if (!config_.tie_embeddings) visitor("lm_head", lm_head_);
}

}  // namespace moellava
