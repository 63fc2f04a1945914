#include "train/routing_counts.hpp"

#include <cmath>

namespace moellava {

namespace {

enum Kind : int64_t { kText = 0, kImage = 1, kPadding = 2, kKinds = 3 };

// Entropy of softmax(logits) of each row, in bits: [T, E] -> [T].
at::Tensor entropy_bits(const at::Tensor& logits) {
  const at::Tensor log_gates = logits.detach().to(at::kCPU, at::kDouble).log_softmax(1);
  return (log_gates.exp() * log_gates).sum(1) / -std::log(2.0);
}

// Adds one kind's numbers out of tables over all kinds.
void add_kind(ExpertLoad& load, Kind kind, const at::Tensor& chosen, const at::Tensor& dropped,
              const at::Tensor& entropy, const at::Tensor& tokens) {
  const at::Tensor row = chosen[kind].contiguous();
  const auto* count = row.const_data_ptr<int64_t>();
  load.chosen.resize(static_cast<size_t>(row.numel()));
  for (size_t e = 0; e < load.chosen.size(); ++e) load.chosen[e] += count[e];
  load.dropped += dropped[kind].item<int64_t>();
  load.entropy += entropy[kind].item<double>();
  load.tokens += tokens[kind].item<int64_t>();
}

}  // namespace

ExpertLoad& ExpertLoad::operator+=(const ExpertLoad& other) {
  tokens += other.tokens;
  chosen.resize(std::max(chosen.size(), other.chosen.size()));
  for (size_t e = 0; e < other.chosen.size(); ++e) chosen[e] += other.chosen[e];
  dropped += other.dropped;
  entropy += other.entropy;
  return *this;
}

at::Tensor row_kinds(const Spliced& batch) {
  const int64_t samples = batch.embeddings.size(0);
  const int64_t positions = batch.embeddings.size(1);
  at::Tensor kinds = at::full({samples, positions}, static_cast<int64_t>(kPadding), at::kLong);
  auto* kind = kinds.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < samples; ++b) {
    const std::vector<bool>& is_image = batch.is_image[static_cast<size_t>(b)];
    const auto length = static_cast<int64_t>(is_image.size());
    const int64_t first = batch.padding == PaddingSide::Left ? positions - length : 0;
    for (int64_t t = 0; t < length; ++t)
      kind[b * positions + first + t] = is_image[static_cast<size_t>(t)] ? kImage : kText;
  }
  return kinds.flatten();
}

void count_routing(std::span<const Routing> routing, const at::Tensor& kinds,
                   std::vector<LayerLoads>& loads) {
  loads.resize(routing.size());
  const at::Tensor tokens = at::bincount(kinds, {}, kKinds);
  for (size_t l = 0; l < routing.size(); ++l) {
    const int64_t experts = routing[l].logits.size(1);
    const at::Tensor expert = routing[l].expert.to(at::kCPU);                           // [T, K]
    const at::Tensor lost = (routing[l].slot.to(at::kCPU) < 0).sum(1).to(at::kDouble);  // [T]
    // One count over (kind, expert) pairs.
    const at::Tensor pairs = kinds.unsqueeze(1) * experts + expert;  // [T, K]
    const at::Tensor chosen = at::bincount(pairs.flatten(), {}, kKinds * experts).view({kKinds, experts});
    const at::Tensor dropped = at::bincount(kinds, lost, kKinds).round().to(at::kLong);
    const at::Tensor entropy = at::bincount(kinds, entropy_bits(routing[l].logits), kKinds);
    add_kind(loads[l].text, kText, chosen, dropped, entropy, tokens);
    add_kind(loads[l].image, kImage, chosen, dropped, entropy, tokens);
  }
}

}  // namespace moellava
