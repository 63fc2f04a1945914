#include "nn/feed_forward.hpp"

#include <algorithm>

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
  if (gated) return down_proj(activate_gated(activation, {gate_proj(x)}, {up_proj(x)})[0]);
  return down_proj(activate_all(activation, {up_proj(x)})[0]);
}

void FeedForward::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visit_linears(prefix, [&](const std::string& name, Linear& linear) { linear.visit(name, visitor); });
}

void FeedForward::visit_linears(const std::string& prefix, const LinearVisitor& visitor) {
  if (gated) visitor(prefix + ".gate_proj", gate_proj);
  visitor(prefix + ".up_proj", up_proj);
  visitor(prefix + ".down_proj", down_proj);
}

namespace {

bool can_be_grouped(const FeedForward& part) {
  return can_be_grouped(part.up_proj) && can_be_grouped(part.down_proj) &&
         (!part.gated || can_be_grouped(part.gate_proj));
}

}  // namespace

std::vector<at::Tensor> grouped_feed_forward(const std::vector<at::Tensor>& xs,
                                             const std::vector<const FeedForward*>& parts) {
  const size_t count = xs.size();
  if (!std::all_of(parts.begin(), parts.end(),
                   [](const FeedForward* part) { return can_be_grouped(*part); })) {
    std::vector<at::Tensor> outputs;
    for (size_t g = 0; g < count; ++g) outputs.push_back((*parts[g])(xs[g]));
    return outputs;
  }
  // All that multiply the rows at once: ups, then gates.
  std::vector<at::Tensor> inputs = xs;
  std::vector<const Linear*> first, last;
  for (const FeedForward* part : parts) first.push_back(&part->up_proj);
  for (const FeedForward* part : parts) last.push_back(&part->down_proj);
  const bool gated = parts.front()->gated;
  if (gated) {
    inputs.insert(inputs.end(), xs.begin(), xs.end());
    for (const FeedForward* part : parts) first.push_back(&part->gate_proj);
  }
  std::vector<at::Tensor> inner = grouped_linear(inputs, first);  // [G or 2G] of [N, F]
  const Activation activation = parts.front()->activation;
  if (gated) {
    const auto gates = inner.begin() + static_cast<std::ptrdiff_t>(count);
    inner = activate_gated(activation, {gates, inner.end()}, {inner.begin(), gates});
  } else {
    inner = activate_all(activation, inner);
  }
  return grouped_linear(inner, last);
}

}  // namespace moellava
