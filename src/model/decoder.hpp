// The one decoder: embeddings in, hidden states out. Variations come from DecoderConfig; families are data.
// B batch, T positions, H width, L MoE layers, E experts.
#pragma once

#include <memory>

#include "model/config.hpp"

namespace moellava {

struct DecoderLayer {
  Norm input_layernorm;
  Attention self_attn;
  Norm post_attention_layernorm;  // Sequential only
  FeedForward mlp;                // dense layers
  std::optional<MoeLayer> moe;    // MoE layers
};

struct DecoderRun {
  MoeRun moe = {};
  KvCache* cache = nullptr;                   // T new positions are appended
  std::vector<at::Tensor>* hidden = nullptr;  // gets [B,T,H] at each layer's input and after the final norm
  // [B] new positions that are not padding, or empty when all are real; and where the padding stands. Nobody
  // sees padding, now or from behind a cache. In training it goes through the routers and fills the experts,
  // as in the original, whose batches are padded on the right; otherwise each sample is routed by itself.
  std::vector<int64_t> lengths = {};
  PaddingSide padding = PaddingSide::Right;
  // Training keeps the input of every layer alone; the backward pass computes what is inside once more.
  bool recompute = false;
  uint64_t dropout_key = 0;  // in training, which values the config's dropout drops is a function of it
};

struct DecoderOutput {
  at::Tensor hidden;             // [B, T, H] after the final norm
  at::Tensor balance_loss;       // [] sum over the MoE layers; undefined in a dense model
  at::Tensor z_loss;             // [] likewise; in training only
  std::vector<Routing> routing;  // [L], rows are the B*T positions, batch-major
};

class Decoder {
 public:
  Decoder() = default;
  Decoder(const DecoderConfig& config, const MoeConfig& moe);

  // Where the weights are: they compute there, all of them. `ids` may be anywhere.
  at::Device device() const { return embed_tokens_.device(); }

  at::Tensor embed(const at::Tensor& ids) const;  // [...] int64 -> [..., H], scaled as the config says
  DecoderOutput forward(const at::Tensor& embeddings, const DecoderRun& run) const;
  at::Tensor logits(const at::Tensor& hidden) const;  // [..., H] -> [..., V] float32
  KvCache make_cache(int64_t batch, int64_t capacity) const;
  // How positions turn in a prompt of `length`: what a cache was made with holds for no other theta.
  RotaryConfig rotary_config(int64_t length) const;

  void visit(const ParameterVisitor& visitor);
  // Attention, feed-forwards, experts, and an untied lm_head.
  void visit_linears(const LinearVisitor& visitor);
  std::vector<DecoderLayer>& layers() { return layers_; }

 private:
  // The batch of a pass: who sees whom, and where each position stands. Thought out on the processor; what
  // the layers need of it goes to the weights.
  struct Batch {
    int64_t size = 0;      // B
    int64_t cached = 0;    // positions in the cache, padding included
    int64_t count = 0;     // T
    at::Tensor seen = {};  // [B, 1, T, cached + T] bool; undefined: all up to its own
    at::Tensor positions =
        {};  // [B, T] int64 in its own sample; undefined: cached, cached + 1, ... in every one
    std::vector<SampleRows> samples = {};  // that are routed each by itself; empty: all rows together
  };
  Batch lay_out(const at::Tensor& embeddings, const DecoderRun& run) const;
  RotaryTable rotary(const DecoderRun& run, const Batch& batch) const;
  at::Tensor router_noise(const DecoderRun& run, const Batch& batch, int64_t index, int64_t experts) const;
  at::Tensor to_weights(const at::Tensor& x) const { return x.defined() ? x.to(device()) : x; }

  // What the layers of a pass have in common.
  struct Pass {
    DecoderRun run;
    Batch batch;
    RotaryTable turning;
  };
  struct LayerOutput {
    at::Tensor hidden;                // [B, T, H]
    at::Tensor balance_loss, z_loss;  // [], MoE layers only
    std::optional<Routing> routing;   // likewise
  };
  // x [B, T, H]; `moe_index` counts the MoE layers before this one.
  LayerOutput run_layer(size_t layer, int64_t moe_index, const at::Tensor& x, const Pass& pass) const;
  LayerOutput run_recomputed_layer(size_t layer, int64_t moe_index, const at::Tensor& x,
                                   const std::shared_ptr<const Pass>& pass) const;

  DecoderConfig config_;
  at::Tensor embed_tokens_;  // [V, H]
  std::vector<DecoderLayer> layers_;
  Norm norm_;
  Linear lm_head_;  // untied models
};

}  // namespace moellava
