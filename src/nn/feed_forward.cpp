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
  if (gated) gate_proj.visit(prefix + ".gate_proj", visitor);
  up_proj.visit(prefix + ".up_proj", visitor);
  down_proj.visit(prefix + ".down_proj", visitor);
}

}  // namespace moellava
