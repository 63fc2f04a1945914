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

namespace {

bool can_be_grouped(const FeedForward& part) {
  return can_be_grouped(part.up_proj) && can_be_grouped(part.down_proj) &&
         (!part.gated || can_be_grouped(part.gate_proj));
}

}  // namespace

std::vector<at::Tensor> grouped_feed_forward(const std::vector<at::Tensor>& xs,
                                             const std::vector<const FeedForward*>& parts) {
  std::vector<at::Tensor> inner;  // [G] of [N, I]
  if (!std::all_of(parts.begin(), parts.end(),
                   [](const FeedForward* part) { return can_be_grouped(*part); })) {
    for (size_t g = 0; g < xs.size(); ++g) inner.push_back((*parts[g])(xs[g]));
    return inner;
  }
  const auto layers = [&](Linear FeedForward::*which) {
    std::vector<const Linear*> result;
    for (const FeedForward* part : parts) result.push_back(&(part->*which));
    return result;
  };
  const bool gated = parts.front()->gated;
  inner = grouped_linear(xs, layers(gated ? &FeedForward::gate_proj : &FeedForward::up_proj));
  for (at::Tensor& x : inner) x = activate(parts.front()->activation, x);
  if (gated) {
    const std::vector<at::Tensor> up = grouped_linear(xs, layers(&FeedForward::up_proj));
    for (size_t g = 0; g < inner.size(); ++g) inner[g] = inner[g] * up[g];
  }
  return grouped_linear(inner, layers(&FeedForward::down_proj));
}

}  // namespace moellava
