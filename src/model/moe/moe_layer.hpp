// Router, dispatch, experts, combine: what stands in the place of a feed-forward.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "model/moe/dispatch.hpp"
#include "model/tensor_communicator.hpp"
#include "nn/feed_forward.hpp"

namespace moellava {

struct MoeLayerConfig {
  int64_t experts = 4;
  int64_t top_k = 2;
  double capacity_factor = 1.0;       // in training
  double eval_capacity_factor = 2.0;  // otherwise
  int64_t min_capacity = 0;
  bool use_residual = false;  // a dense branch beside the experts, mixed by a learned coefficient
};

// A what-if of one layer. Experts are counted from 0.
struct ExpertEdits {
  // They get no token, as if the router gave them no chance: the others share its softmax. At least K experts
  // must be left. The capacity of an expert stays what it was.
  std::vector<int64_t> masked = {};
  // Pairs that change places behind the router, one pair after the other.
  std::vector<std::pair<int64_t, int64_t>> swapped = {};

  bool operator==(const ExpertEdits&) const = default;
};

// What a run asks of every MoE layer; nothing here is learned.
struct MoeRun {
  bool training = false;                       // which capacity factor
  std::optional<double> capacity_factor = {};  // overrides both
  bool balance_gradient = true;       // false: the balance loss is a constant, as the original recipe has it
  std::optional<int64_t> top_k = {};  // choices a token, instead of the model's own
  // The second choice is the true second one unless noise decides it: recorded noise [L, T, E], E as of the
  // layer with most experts, or else Gumbel noise of this seed, as the original draws it anew at every run.
  at::Tensor router_noise = {};
  std::optional<uint64_t> gumbel_seed = {};
  std::vector<ExpertEdits> edits = {};  // [L], or empty: none
  // The processes that share the experts of every layer, each with E / R of them (row_exchange.hpp), for runs
  // without edits; nullptr: all are here. A pass is then collective, and so is its backward.
  const TensorCommunicator* expert_processes = nullptr;
};

struct MoeOutput {
  at::Tensor hidden;        // [T, H]
  at::Tensor balance_loss;  // []
  at::Tensor z_loss;        // []: router_z_loss; in training only
  Routing routing;
};

struct MoeLayer {
  Linear router;  // [E, H], no bias, always float32
  std::vector<FeedForward> experts;
  FeedForward residual;  // use_residual only
  Linear coefficient;    // [2, H], use_residual only
  MoeLayerConfig config;

  MoeLayer() = default;
  MoeLayer(const MoeLayerConfig& layer_config, const FeedForwardConfig& expert_config);

  // x [T, H]; `noise` [T, E] or undefined; `samples` that are to be routed each by itself, or none: all rows
  // compete, as the original has it in training. Edits of the layer itself, not those of the run, are obeyed:
  // a layer does not know its number. The logits that it returns are -inf for masked experts; experts are
  // numbered by the router's rows, whoever stands behind them.
  MoeOutput operator()(const at::Tensor& x, const MoeRun& run, const at::Tensor& noise,
                       std::span<const SampleRows> samples = {}, const ExpertEdits& edits = {}) const;
  // Experts without weights live in other processes and are left out.
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
  // Those of the experts and of the dense branch; routers have no adapters.
  void visit_linears(const std::string& prefix, const LinearVisitor& visitor);

 private:
  // rows [N, H], counts[i] of each in order for the expert that stands at places[i]: the outputs, [N, H]. An
  // expert with no rows stays silent.
  at::Tensor run_experts(const at::Tensor& rows, std::span<const int64_t> counts,
                         std::span<const size_t> places) const;
  // The same with `counts` [E] of all experts, wherever they are.
  at::Tensor run_spread_experts(const at::Tensor& rows, const std::vector<int64_t>& counts,
                                const TensorCommunicator& processes) const;
};

}  // namespace moellava
