#include "model/adapter.hpp"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/fnv1a.hpp"
#include "model/families/family.hpp"
#include "model/weights.hpp"

namespace moellava {

namespace {

uint64_t stream_of(const std::string& name) {
  Fnv1a hash;
  hash.add(name);
  return hash.value();
}

// torch.nn.Linear's default initialisation, which PEFT takes for A: uniform within 1 / sqrt(in).
at::Tensor drawn_a(const std::string& linear, int64_t rank, int64_t in, uint64_t seed) {
  at::Tensor a = at::empty({rank, in}, at::kFloat);
  fill_uniform(a, 1 / std::sqrt(static_cast<double>(in)), seed, stream_of(dense_name_of_expert(linear)));
  return a;
}

}  // namespace

uint64_t dropout_stream(const std::string& linear) {
  return stream_of(linear);
}

double adapter_scale(double alpha, int64_t rank, bool rank_stabilised) {
  const auto r = static_cast<double>(rank);
  return alpha / (rank_stabilised ? std::sqrt(r) : r);
}

std::shared_ptr<Dropout> add_adapters(MoeLlava& model, const AdapterSettings& settings,
                                      const std::function<bool(const std::string& name)>& wanted,
                                      uint64_t seed) {
  const at::NoGradGuard no_grad;
  const bool fused = family_by_name(model.config().family).fused_qkv;
  auto dropout = std::make_shared<Dropout>();
  dropout->probability = settings.dropout;
  at::Tensor a_of_query;
  model.decoder().visit_linears([&](const std::string& name, Linear& linear) {
    if (!wanted(name)) return;
    const bool query = name.ends_with(".self_attn.q_proj");
    const bool shares = fused && (name.ends_with(".self_attn.k_proj") || name.ends_with(".self_attn.v_proj"));
    LowRank added;
    added.a = shares ? a_of_query : drawn_a(name, settings.rank, linear.weight.size(1), seed);
    added.b = at::zeros({linear.weight.size(0), settings.rank}, at::kFloat);
    added.scale = adapter_scale(settings.alpha, settings.rank, settings.rank_stabilised);
    added.shares_a = shares;
    added.dropout = dropout;
    added.stream = dropout_stream(shares ? name.substr(0, name.rfind('.')) + ".q_proj" : name);
    if (query) a_of_query = added.a;
    linear.low_rank = std::move(added);
  });
  return dropout;
}

void merge_adapters(MoeLlava& model) {
  const at::NoGradGuard no_grad;
  model.decoder().visit_linears([](const std::string&, Linear& linear) {
    if (!linear.low_rank) return;
    linear.weight = linear.weight.to(at::kFloat) + linear.low_rank->product();
    linear.low_rank.reset();
  });
}

bool is_saved_with_adapters(const std::string& name) {
  return is_low_rank_parameter(name) || is_projector_parameter(name) || is_router_parameter(name);
}

bool is_feed_forward_linear(const std::string& name) {
  return name.find(".mlp.") != std::string::npos;
}

}  // namespace moellava
