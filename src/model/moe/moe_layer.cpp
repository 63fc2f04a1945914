#include "model/moe/moe_layer.hpp"

#include <numeric>

#include "model/moe/row_exchange.hpp"
#include "nn/precision.hpp"

namespace moellava {

namespace {

// Which expert stands behind each row of the router: [E].
std::vector<size_t> places_of_experts(size_t experts, const ExpertEdits& edits) {
  std::vector<size_t> places(experts);
  std::iota(places.begin(), places.end(), size_t{0});
  for (const auto& [a, b] : edits.swapped)
    std::swap(places[static_cast<size_t>(a)], places[static_cast<size_t>(b)]);
  return places;
}

}  // namespace

MoeLayer::MoeLayer(const MoeLayerConfig& layer_config, const FeedForwardConfig& expert_config)
    : router(expert_config.width, layer_config.experts, /*with_bias=*/false), config(layer_config) {
  for (int64_t e = 0; e < config.experts; ++e) experts.emplace_back(expert_config);
  if (config.use_residual) {
    residual = FeedForward(expert_config);
    coefficient = Linear(expert_config.width, 2, /*with_bias=*/true);
  }
}

MoeOutput MoeLayer::operator()(const at::Tensor& x, const MoeRun& run, const at::Tensor& noise,
                               std::span<const SampleRows> samples, const ExpertEdits& edits) const {
  // 1. Route, in float32 whatever the model's dtype.
  at::Tensor logits = exact_linear(x.to(at::kFloat), router.weight.to(at::kFloat));
  if (!edits.masked.empty())
    logits = logits.index_fill(1, at::tensor(edits.masked).to(x.device()), -INFINITY);
  const double own_factor = run.training ? config.capacity_factor : config.eval_capacity_factor;
  const RouterOptions options{.top_k = run.top_k.value_or(config.top_k),
                              .capacity_factor = run.capacity_factor.value_or(own_factor),
                              .min_capacity = config.min_capacity};
  Routing routing =
      samples.empty() ? route(logits, options, noise) : route_samples(logits, samples, options, noise);

  // 2. Dispatch.
  const Dispatch plan = plan_dispatch(routing);
  const at::Tensor sorted = dispatch(plan, x);  // [N, H]

  // 3. Experts, each on its own rows.
  const std::vector<size_t> places = places_of_experts(experts.size(), edits);
  const at::Tensor outputs = run.expert_processes == nullptr
                                 ? run_experts(sorted, plan.counts, places)
                                 : run_spread_experts(sorted, plan.counts, *run.expert_processes);

  // 4. Combine.
  at::Tensor hidden = combine(plan, routing, outputs);
  if (config.use_residual) {
    const at::Tensor share = coefficient(x).softmax(-1);  // [T, 2]
    hidden = hidden * share.narrow(1, 0, 1) + residual(x) * share.narrow(1, 1, 1);
  }
  const at::Tensor balance = run.balance_gradient ? routing.balance_loss : routing.balance_loss.detach();
  const at::Tensor z_loss = run.training ? router_z_loss(routing.logits) : at::Tensor();
  return {hidden, balance, z_loss, std::move(routing)};
}

at::Tensor MoeLayer::run_experts(const at::Tensor& rows, std::span<const int64_t> counts,
                                 std::span<const size_t> places) const {
  // One split, whose backward is one concatenation.
  std::vector<at::Tensor> parts = rows.split_with_sizes({counts.data(), counts.size()}, 0);
  std::erase_if(parts, [](const at::Tensor& part) { return part.size(0) == 0; });
  if (parts.empty()) return rows;
  std::vector<const FeedForward*> chosen;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) chosen.push_back(&experts[places[i]]);
  }
  return at::cat(grouped_feed_forward(parts, chosen), 0);
}

at::Tensor MoeLayer::run_spread_experts(const at::Tensor& rows, const std::vector<int64_t>& counts,
                                        const TensorCommunicator& processes) const {
  const ExpertTraffic traffic(counts, processes.host());
  std::vector<size_t> own(experts.size() / static_cast<size_t>(processes.size()));
  std::iota(own.begin(), own.end(), traffic.first());
  const at::Tensor received = exchange_rows(rows, traffic.sent(), traffic.received(), processes);
  // Each process's rows by themselves: the products, and so their bits, are those it would compute alone.
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (size_t r = 0; r < traffic.received().size(); ++r) {
    const int64_t count = traffic.received()[r];
    outputs.push_back(run_experts(received.narrow(0, begin, count), traffic.from(r), own));
    begin += count;
  }
  return exchange_rows(at::cat(outputs, 0), traffic.received(), traffic.sent(), processes);
}

void MoeLayer::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  router.visit(prefix + ".deepspeed_moe.gate.wg", visitor);
  visit_linears(prefix, [&](const std::string& name, Linear& linear) { linear.visit(name, visitor); });
  if (config.use_residual) coefficient.visit(prefix + ".coefficient", visitor);
}

void MoeLayer::visit_linears(const std::string& prefix, const LinearVisitor& visitor) {
  for (size_t e = 0; e < experts.size(); ++e) {
    if (!experts[e].up_proj.weight.defined()) continue;
    experts[e].visit_linears(prefix + ".deepspeed_moe.experts.deepspeed_experts." + std::to_string(e),
                             visitor);
  }
  if (config.use_residual) residual.visit_linears(prefix + ".mlp", visitor);
}

}  // namespace moellava
