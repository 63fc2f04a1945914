#include "routing/trace.hpp"

#include <cmath>

#include "base/error.hpp"

namespace moellava {

namespace {

// Entropy of softmax(logits) of each row, in bits: [T, E] -> [T].
at::Tensor router_entropy(const at::Tensor& logits) {
  const at::Tensor log_gates = logits.detach().to(at::kCPU, at::kDouble).log_softmax(1);
  return (log_gates.exp() * log_gates).sum(1) / -std::log(2.0);
}

void require_shape(const Routing& routing, const LayerTrace& layer, size_t tokens) {
  const auto rows = static_cast<int64_t>(tokens);
  const auto experts = static_cast<int64_t>(layer.of(Modality::Text).first.size());
  const bool fits = routing.logits.sizes() == at::IntArrayRef{rows, experts} &&
                    routing.expert.sizes() == at::IntArrayRef{rows, layer.top_k} &&
                    routing.slot.sizes() == routing.expert.sizes();
  if (!fits) {
    throw make_error(ErrorKind::Internal, "routing of layer " + std::to_string(layer.layer),
                     "not of the model's shape",
                     {.expected = std::to_string(rows) + " tokens, " + std::to_string(experts) +
                                  " experts, " + std::to_string(layer.top_k) + " choices"});
  }
}

void add_layer(LayerTrace& layer, const Routing& routing, const std::vector<bool>& is_image) {
  const at::Tensor expert_tensor = routing.expert.to(at::kCPU, at::kLong).contiguous();
  const at::Tensor slot_tensor = routing.slot.to(at::kCPU, at::kLong).contiguous();
  const at::Tensor entropy_tensor = router_entropy(routing.logits).contiguous();
  const auto* expert = expert_tensor.const_data_ptr<int64_t>();  // [T, K]
  const auto* slot = slot_tensor.const_data_ptr<int64_t>();      // [T, K]
  const auto* entropy = entropy_tensor.const_data_ptr<double>();
  const auto choices = static_cast<size_t>(layer.top_k);
  for (size_t t = 0; t < is_image.size(); ++t) {
    ExpertCounts& counts =
        layer.modalities[static_cast<size_t>(is_image[t] ? Modality::Image : Modality::Text)];
    ++counts.tokens;
    counts.entropy += entropy[t];
    ++counts.first[static_cast<size_t>(expert[t * choices])];
    for (size_t k = 0; k < choices; ++k) {
      ++counts.chosen[static_cast<size_t>(expert[t * choices + k])];
      counts.dropped += slot[t * choices + k] < 0;
    }
  }
}

}  // namespace

ExpertCounts& ExpertCounts::operator+=(const ExpertCounts& other) {
  tokens += other.tokens;
  dropped += other.dropped;
  entropy += other.entropy;
  for (size_t e = 0; e < first.size(); ++e) {
    first[e] += other.first[e];
    chosen[e] += other.chosen[e];
  }
  return *this;
}

ExpertCounts LayerTrace::all() const {
  ExpertCounts sum = of(Modality::Text);
  return sum += of(Modality::Image);
}

RoutingTrace::RoutingTrace(const MoeConfig& moe) {
  for (size_t i = 0; i < moe.layers.size(); ++i) {
    LayerTrace& layer = layers_.emplace_back();
    layer.layer = moe.layers[i];
    layer.top_k = moe.top_k;
    for (ExpertCounts& counts : layer.modalities) {
      counts.first.resize(static_cast<size_t>(moe.experts[i]));
      counts.chosen.resize(static_cast<size_t>(moe.experts[i]));
    }
  }
}

void RoutingTrace::add(std::span<const Routing> routing, const std::vector<bool>& is_image) {
  if (routing.size() != layers_.size()) {
    throw make_error(ErrorKind::Internal, "routing", "not of the model's layers",
                     {.found = std::to_string(routing.size()), .expected = std::to_string(layers_.size())});
  }
  for (size_t i = 0; i < layers_.size(); ++i) require_shape(routing[i], layers_[i], is_image.size());
  for (size_t i = 0; i < layers_.size(); ++i) add_layer(layers_[i], routing[i], is_image);
  ++passes_;
}

}  // namespace moellava
