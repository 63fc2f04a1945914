// Self-attention: causal with rotary positions and a key-value cache (decoder), or full (vision tower).
// B batch, T new positions, P positions in the cache, H width, D head width.
#pragma once

#include <optional>

#include "nn/linear.hpp"
#include "nn/rotary.hpp"

namespace moellava {

struct AttentionConfig {
  int64_t width = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool out_bias = false;
  int64_t window = 0;  // positions that a position sees, itself included; 0: all up to its own
};

// [count, cached + count] bool: new position i (absolute: cached + i) sees all positions up to its own, or
// the last `window` of them.
at::Tensor causal_mask(int64_t count, int64_t cached, int64_t window = 0, at::Device device = at::kCPU);

// Keys and values of one layer, room reserved for a whole conversation.
struct LayerCache {
  at::Tensor keys;    // [B, kv_heads, capacity, D]
  at::Tensor values;  // [B, kv_heads, capacity, D]
};

// One per conversation, or per batch of them.
struct KvCache {
  std::vector<LayerCache> layers;
  int64_t length = 0;  // positions already in it, padding among them
  int64_t capacity = 0;
  at::Tensor real;                        // [B, length] bool: which are not padding; undefined when none is
  std::vector<double> rotary_theta = {};  // [B] that the keys of a sample were turned with
};

struct Attention {
  Linear q_proj, k_proj, v_proj, o_proj;
  AttentionConfig config;

  Attention() = default;
  explicit Attention(const AttentionConfig& attention_config);

  // Causal. `cache` may be null; else T new positions are appended behind `cached` old ones. `seen`
  // [B,1,T,P+T] bool: which keys each position may see, instead of all up to its own.
  at::Tensor causal(const at::Tensor& x, const RotaryTable& rotary, LayerCache* cache, int64_t cached,
                    const at::Tensor& seen = {}) const;  // [B,T,H]
  // Every position sees every other one; no rotary.
  at::Tensor full(const at::Tensor& x) const;  // [B,T,H]
  // `out_name` is the checkpoint's word for the output projection: "o_proj" or CLIP's "out_proj".
  void visit(const std::string& prefix, const ParameterVisitor& visitor, const char* out_name = "o_proj");
  void visit_linears(const std::string& prefix, const LinearVisitor& visitor,
                     const char* out_name = "o_proj");

 private:
  at::Tensor heads_of(const at::Tensor& projected, int64_t heads) const;
  at::Tensor join_heads(const at::Tensor& attended) const;
};

}  // namespace moellava
