// The router: which experts a token goes to, with which weight, and who is dropped when an expert is full.
// Semantics of DeepSpeed 0.9.5 top1gating / top2gating (docs/architecture.md, "The MoE layer").
// T tokens, E experts, K choices a token, C capacity of an expert.
#pragma once

#include <ATen/ATen.h>

#include <span>

namespace moellava {

struct RouterOptions {
  int64_t top_k = 2;
  double capacity_factor = 1.0;  // C = max(ceil(T / E * capacity_factor * K), min_capacity)
  int64_t min_capacity = 0;
  bool drop_tokens = true;
};

struct Routing {
  at::Tensor logits;        // [T, E] float32
  at::Tensor expert;        // [T, K] int64, first choice first, before dropping
  at::Tensor slot;          // [T, K] int64, place in the expert's buffer, -1 when dropped
  at::Tensor weight;        // [T, K] float32, 0 when dropped; for K > 1 the kept weights of a token sum to 1
  at::Tensor balance_loss;  // [] float32: E * sum_e mean(gates_e) * mean(first choice is e); 1 when uniform
  int64_t capacity = 0;
};

int64_t expert_capacity(int64_t tokens, int64_t experts, const RouterOptions& options);

// `logits` [T, E]. Differentiable in logits through weight and balance_loss.
// `noise` [T, E] is added to the logits for the second and later choices only (Gumbel noise of the original);
// `priority` [T, E], for K = 1, decides who is kept when an expert is full (the original's random token
// selection): without it, and always for K > 1, earlier tokens win, and all first choices come before all
// second ones.
Routing route(const at::Tensor& logits, const RouterOptions& options, const at::Tensor& noise = {},
              const at::Tensor& priority = {});

// mean over tokens of (log sum exp of the logits [T, E])^2, []: keeps logits small, so that their softmax
// does not saturate (ST-MoE, arXiv 2202.08906, equation 5).
at::Tensor router_z_loss(const at::Tensor& logits);

// The rows [begin, begin + count) that are one sample's.
struct SampleRows {
  int64_t begin = 0;
  int64_t count = 0;
};
// `route` for a batch in which each sample gets what it would get alone: its own capacity, and its own part
// of every buffer. Rows of no sample are padding and go nowhere: slot -1, weight 0. `capacity` is the
// largest.
Routing route_samples(const at::Tensor& logits, std::span<const SampleRows> samples,
                      const RouterOptions& options, const at::Tensor& noise = {});

// Gumbel(0, 1) noise for `route` [positions, E], a function of (seed, layer, position, expert) alone: the
// conversation's positions from `first` on get the same noise however they are cut into passes.
at::Tensor gumbel_noise(uint64_t seed, int64_t layer, int64_t first, int64_t positions, int64_t experts);

// Per-expert views of a routing, as reports and tests want them.
at::Tensor combine_weights(const Routing& routing);  // [T, E] float32, 0 where not sent
at::Tensor buffer_slots(const Routing& routing);     // [T, E] int32, -1 where not sent

}  // namespace moellava
