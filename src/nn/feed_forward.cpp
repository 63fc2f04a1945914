#include "nn/feed_forward.hpp"

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

}  // namespace moellava
