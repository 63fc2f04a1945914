#include "nn/attention.hpp"

#include <cmath>

namespace moellava {

namespace {

// Grouped-query attention: every key-value head serves heads/kv_heads queries.
at::Tensor repeat_heads(const at::Tensor& x, int64_t times) {
  if (times == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), times, x.size(2), x.size(3)})
      .reshape({x.size(0), x.size(1) * times, x.size(2), x.size(3)});
}

// Scores written out: q [B,heads,T,D], k and v [B,kv_heads,S,D], mask [T,S] or [B,1,T,S] or undefined.
// The queries of one group stand in one matrix, so keys and values are never repeated.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const at::Tensor& mask) {
  const int64_t count = q.size(2), width = q.size(3), all = k.size(2);
  const int64_t groups = k.size(0) * k.size(1);
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  const at::Tensor rows = (q * scale).reshape({groups, -1, width});
  at::Tensor scores = at::bmm(rows, k.reshape({groups, all, width}).transpose(1, 2));
  if (mask.defined()) {
    const at::Tensor bias =
        at::zeros(mask.sizes(), scores.options()).masked_fill_(mask.logical_not(), -INFINITY);
    scores = (scores.view({q.size(0), q.size(1), count, all}) + bias).view_as(scores);
  }
  return at::bmm(scores.softmax(-1), v.reshape({groups, all, width})).view(q.sizes());
}

// On a CPU, libtorch's fused kernel pays only for long sequences: written out, a training step of 128
// positions is several times faster; at 640 both are equal. GPUs have kernels for all.
constexpr int64_t kPlainUpTo = 512;
constexpr int64_t kPlainScores = 1 << 23;  // values; training keeps them for every layer

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                  bool is_causal) {
  const int64_t scores = q.size(0) * q.size(1) * q.size(2) * k.size(2);
  if (q.is_cpu() && q.size(2) <= kPlainUpTo && scores <= kPlainScores) {
    return plain_attention(q, k, v, is_causal ? causal_mask(q.size(2), 0, 0, q.device()) : mask);
  }
  const int64_t times = q.size(1) / k.size(1);
  const std::optional<at::Tensor> seen = mask.defined() ? std::optional(mask) : std::nullopt;
  return at::scaled_dot_product_attention(q, repeat_heads(k, times), repeat_heads(v, times), seen,
                                          /*dropout_p=*/0.0, is_causal);
}

}  // namespace

at::Tensor causal_mask(int64_t count, int64_t cached, int64_t window, at::Device device) {
  const at::Tensor seen =
      at::ones({count, cached + count}, at::TensorOptions(at::kBool).device(device)).tril(cached);
  return window > 0 ? seen.triu(cached - window + 1) : seen;
}

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
  at::Tensor q = rotate(heads_of(q_proj(x), config.heads), rotary);
  if (rotary.query_scale.defined()) q = q * rotary.query_scale;
  at::Tensor k = rotate(heads_of(k_proj(x), config.kv_heads), rotary);
  at::Tensor v = heads_of(v_proj(x), config.kv_heads);
  if (cache != nullptr) {
    cache->keys.narrow(2, cached, count).copy_(k);
    cache->values.narrow(2, cached, count).copy_(v);
    k = cache->keys.narrow(2, 0, cached + count);
    v = cache->values.narrow(2, 0, cached + count);
  }
  // A single new position sees everything, unless that is more than its window; several behind a cache need
  // an explicit mask.
  const bool several_behind_cache = cached > 0 && count > 1;
  const bool windowed = config.window > 0 && cached + count > config.window;
  const at::Tensor mask = !seen.defined() && (several_behind_cache || windowed)
                              ? causal_mask(count, cached, config.window, x.device())
                              : seen;
  return o_proj(join_heads(attend(q, k, v, mask, /*is_causal=*/!mask.defined() && count > 1)));
}

at::Tensor Attention::full(const at::Tensor& x) const {
  const at::Tensor q = heads_of(q_proj(x), config.heads);
  const at::Tensor k = heads_of(k_proj(x), config.kv_heads);
  const at::Tensor v = heads_of(v_proj(x), config.kv_heads);
  return o_proj(join_heads(attend(q, k, v, {}, /*is_causal=*/false)));
}

void Attention::visit(const std::string& prefix, const ParameterVisitor& visitor, const char* out_name) {
  visit_linears(
      prefix, [&](const std::string& name, Linear& linear) { linear.visit(name, visitor); }, out_name);
}

void Attention::visit_linears(const std::string& prefix, const LinearVisitor& visitor, const char* out_name) {
  visitor(prefix + ".q_proj", q_proj);
  visitor(prefix + ".k_proj", k_proj);
  visitor(prefix + ".v_proj", v_proj);
  visitor(prefix + "." + out_name, o_proj);
}

}  // namespace moellava
