#include "nn/attention.hpp"

namespace moellava {

namespace {

// Grouped-query attention: every key-value head serves heads/kv_heads queries.
at::Tensor repeat_heads(const at::Tensor& x, int64_t times) {
  if (times == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), times, x.size(2), x.size(3)})
      .reshape({x.size(0), x.size(1) * times, x.size(2), x.size(3)});
}

// New position i (absolute: cached + i) sees all positions up to its own.
at::Tensor causal_mask(int64_t count, int64_t cached) {
  return at::ones({count, cached + count}, at::kBool).tril(cached);
}

}  // namespace

Attention::Attention(const AttentionConfig& attention_config) : config(attention_config) {
  const int64_t inner = config.heads * config.head_dim;
  const int64_t kv_inner = config.kv_heads * config.head_dim;
  q_proj = Linear(config.width, inner, config.qkv_bias);
  k_proj = Linear(config.width, kv_inner, config.qkv_bias);
  v_proj = Linear(config.width, kv_inner, config.qkv_bias);
  o_proj = Linear(inner, config.width, config.out_bias);
}

at::Tensor Attention::heads_of(const at::Tensor& projected, int64_t heads) const {
  return projected.view({projected.size(0), projected.size(1), heads, config.head_dim}).transpose(1, 2);
}

at::Tensor Attention::join_heads(const at::Tensor& attended) const {
  const at::Tensor rows = attended.transpose(1, 2);
  return rows.reshape({rows.size(0), rows.size(1), config.heads * config.head_dim});
}

at::Tensor Attention::causal(const at::Tensor& x, const RotaryTable& rotary, LayerCache* cache,
                             int64_t cached, const at::Tensor& seen) const {
  const int64_t count = x.size(1);
  const at::Tensor q = rotate(heads_of(q_proj(x), config.heads), rotary);
  at::Tensor k = rotate(heads_of(k_proj(x), config.kv_heads), rotary);
  at::Tensor v = heads_of(v_proj(x), config.kv_heads);
  if (cache != nullptr) {
    cache->keys.narrow(2, cached, count).copy_(k);
    cache->values.narrow(2, cached, count).copy_(v);
    k = cache->keys.narrow(2, 0, cached + count);
    v = cache->values.narrow(2, 0, cached + count);
  }
  const int64_t group = config.heads / config.kv_heads;
  k = repeat_heads(k, group);
  v = repeat_heads(v, group);
  // A single new position sees everything; several behind a cache need an explicit mask.
  const bool several_behind_cache = cached > 0 && count > 1;
  std::optional<at::Tensor> mask;
  if (seen.defined()) {
    mask = seen;
  } else if (several_behind_cache) {
    mask = causal_mask(count, cached);
  }
  const bool is_causal = !mask && count > 1;
  return o_proj(join_heads(at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, is_causal)));
}

at::Tensor Attention::full(const at::Tensor& x) const {
  const at::Tensor q = heads_of(q_proj(x), config.heads);
  const at::Tensor k = repeat_heads(heads_of(k_proj(x), config.kv_heads), config.heads / config.kv_heads);
  const at::Tensor v = repeat_heads(heads_of(v_proj(x), config.kv_heads), config.heads / config.kv_heads);
  return o_proj(join_heads(at::scaled_dot_product_attention(q, k, v)));
}

void Attention::visit(const std::string& prefix, const ParameterVisitor& visitor, const char* out_name) {
  q_proj.visit(prefix + ".q_proj", visitor);
  k_proj.visit(prefix + ".k_proj", visitor);
  v_proj.visit(prefix + ".v_proj", visitor);
  o_proj.visit(prefix + "." + out_name, visitor);
}

}  // namespace moellava
