#include "nn/feed_forward.hpp"

#include "nn/grouped_linear.hpp"

namespace moellava {

FeedForward::FeedForward(const FeedForwardConfig& config)
    : up_proj(config.width, config.inner, config.bias),
      down_proj(config.inner, config.width, config.bias),
      gated(config.gated),
      activation(config.activation) {
  if (gated) gate_proj = Linear(config.width, config.inner, config.bias);
}

at::Tensor FeedForward::operator()(const at::Tensor& x) const {
  if (gated) return down_proj(activate(activation, gate_proj(x)) * up_proj(x));
  return down_proj(activate(activation, up_proj(x)));
}

void FeedForward::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visit_linears(prefix, [&](const std::string& name, Linear& linear) { linear.visit(name, visitor); });
}

void FeedForward::visit_linears(const std::string& prefix, const LinearVisitor& visitor) {
  if (gated) visitor(prefix + ".gate_proj", gate_proj);
  visitor(prefix + ".up_proj", up_proj);
  visitor(prefix + ".down_proj", down_proj);
}

std::optional<at::Tensor> grouped_feed_forward(const at::Tensor& rows, std::span<const int64_t> counts,
                                               const std::vector<const FeedForward*>& parts) {
  std::vector<const Linear*> gates, ups, downs;
  for (const FeedForward* part : parts) {
    if (part->gated) gates.push_back(&part->gate_proj);
    ups.push_back(&part->up_proj);
    downs.push_back(&part->down_proj);
  }
  for (const auto* layers : {&gates, &ups, &downs}) {
    for (const Linear* layer : *layers)
      if (!can_be_grouped(*layer)) return std::nullopt;
  }
  const Activation activation = parts.front()->activation;
  const at::Tensor up = grouped_linear(rows, counts, ups);
  if (gates.empty()) return grouped_linear(activate(activation, up), counts, downs);
  return grouped_linear(activate(activation, grouped_linear(rows, counts, gates)) * up, counts, downs);
}

}  // namespace moellava
