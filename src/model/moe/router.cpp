#include "model/moe/router.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.hpp"

namespace moellava {

namespace {

constexpr uint64_t kNoiseStream = 0x67756d62656c0000;  // any fixed number: apart from other uses of the seed

// The K choices of each token: the best logit first; later ones among the experts not yet taken.
at::Tensor choose_experts(const at::Tensor& logits, int64_t top_k, const at::Tensor& noise) {
  std::vector<at::Tensor> choices;
  at::Tensor rest = logits.detach().clone();
  for (int64_t k = 0; k < top_k; ++k) {
    if (k == 1 && noise.defined()) rest = rest + noise;   // what is taken stays at -inf
    choices.push_back(rest.argmax(1, /*keepdim=*/true));  // ties: the first expert
    rest.scatter_(1, choices.back(), -INFINITY);
  }
  return at::cat(choices, 1);
}

// Place of each choice in its expert's buffer: tokens in order, all first choices before all second ones.
at::Tensor place_in_order(const at::Tensor& expert, int64_t experts) {
  std::vector<at::Tensor> places;
  at::Tensor taken = at::zeros({experts}, expert.options());
  for (int64_t k = 0; k < expert.size(1); ++k) {
    const at::Tensor one_hot = at::one_hot(expert.select(1, k), experts);  // [T, E]
    const at::Tensor place = one_hot.cumsum(0) - 1 + taken;
    places.push_back(place.gather(1, expert.narrow(1, k, 1)));
    taken = taken + one_hot.sum(0);
  }
  return at::cat(places, 1);
}

// K = 1 with priorities: each expert keeps its C tokens of highest priority; their slots follow token order.
at::Tensor place_by_priority(const at::Tensor& expert, int64_t experts, int64_t capacity,
                             const at::Tensor& priority) {
  const at::Tensor one_hot = at::one_hot(expert.select(1, 0), experts);  // [T, E]
  const at::Tensor wish = one_hot * priority;
  const int64_t kept = std::min(capacity, wish.size(0));
  const at::Tensor best = std::get<1>(wish.topk(kept, 0));  // [kept, E]
  const at::Tensor keep = at::zeros_like(one_hot).scatter(0, best, 1) * one_hot;
  const at::Tensor place = (keep.cumsum(0) - 1).masked_fill(keep == 0, std::numeric_limits<int64_t>::max());
  return place.gather(1, expert);
}

// Weights of the kept choices; `kept` [T, K] bool.
at::Tensor kept_weights(const at::Tensor& gates, const at::Tensor& expert, const at::Tensor& kept) {
  const at::Tensor weight = gates.gather(1, expert) * kept;
  if (expert.size(1) == 1) return weight;
  // Renormalised: a token that lost one choice gives the other all its weight.
  return weight / weight.sum(1, /*keepdim=*/true).clamp_min(std::numeric_limits<float>::epsilon());
}

}  // namespace

int64_t expert_capacity(int64_t tokens, int64_t experts, const RouterOptions& options) {
  // The product is rounded to float32 before ceil, as in the original.
  const auto share = static_cast<float>(static_cast<double>(tokens) / static_cast<double>(experts));
  const auto factor = static_cast<float>(options.capacity_factor * static_cast<double>(options.top_k));
  return std::max(static_cast<int64_t>(std::ceil(share * factor)), options.min_capacity);
}

Routing route(const at::Tensor& logits, const RouterOptions& options, const at::Tensor& noise,
              const at::Tensor& priority) {
  const int64_t tokens = logits.size(0);
  const int64_t experts = logits.size(1);
  Routing routing;
  routing.logits = logits;
  routing.capacity = options.drop_tokens ? expert_capacity(tokens, experts, options) : tokens * options.top_k;
  const at::Tensor gates = logits.softmax(1, at::kFloat);
  routing.expert = choose_experts(logits, options.top_k, noise);

  const at::Tensor first = at::one_hot(routing.expert.select(1, 0), experts).to(at::kFloat);
  routing.balance_loss = (gates.mean(0) * first.mean(0)).sum() * static_cast<double>(experts);

  const bool by_priority = options.top_k == 1 && options.drop_tokens && priority.defined();
  const at::Tensor place = by_priority
                               ? place_by_priority(routing.expert, experts, routing.capacity, priority)
                               : place_in_order(routing.expert, experts);
  const at::Tensor kept = place < routing.capacity;
  routing.slot = place.masked_fill(kept.logical_not(), -1);

  routing.weight = kept_weights(gates, routing.expert, kept);
  return routing;
}

at::Tensor router_z_loss(const at::Tensor& logits) {
  return logits.logsumexp(1).square().mean();
}

Routing route_samples(const at::Tensor& logits, std::span<const SampleRows> samples,
                      const RouterOptions& options, const at::Tensor& noise) {
  const int64_t experts = logits.size(1);
  RouterOptions room_for_all = options;
  room_for_all.drop_tokens = false;
  Routing routing = route(logits, room_for_all, noise);
  const auto capacity_of = [&](const SampleRows& sample) {
    return options.drop_tokens ? expert_capacity(sample.count, experts, options) : sample.count;
  };
  // An expert takes a token at most once. Written tokens, one a sample, always find room.
  const bool room = std::all_of(samples.begin(), samples.end(), [&](const SampleRows& sample) {
    return capacity_of(sample) >= sample.count;
  });
  const at::Tensor places = routing.slot;
  routing.slot = at::full_like(places, -1);
  routing.capacity = 0;
  for (const SampleRows& sample : samples) {
    routing.capacity = std::max(routing.capacity, capacity_of(sample));
    at::Tensor own = places.narrow(0, sample.begin, sample.count);
    if (!room) {
      const at::Tensor place = place_in_order(routing.expert.narrow(0, sample.begin, sample.count), experts);
      own = (place + sample.begin * options.top_k).masked_fill(place >= capacity_of(sample), -1);
    }
    routing.slot.narrow(0, sample.begin, sample.count).copy_(own);
  }
  routing.weight = kept_weights(logits.softmax(1, at::kFloat), routing.expert, routing.slot >= 0);
  return routing;
}

at::Tensor gumbel_noise(uint64_t seed, int64_t layer, int64_t first, int64_t positions, int64_t experts) {
  at::Tensor noise = at::empty({positions, experts}, at::kFloat);
  float* values = noise.data_ptr<float>();
  const uint64_t stream = kNoiseStream + static_cast<uint64_t>(layer);
  const auto begin = static_cast<uint64_t>(first * experts);
  for (uint64_t i = 0; i < static_cast<uint64_t>(noise.numel()); ++i) {
    constexpr double kSmallest = 0x1.0p-54;  // below every other value of random_unit, and not 0
    values[i] =
        static_cast<float>(-std::log(-std::log(std::max(random_unit(seed, stream, begin + i), kSmallest))));
  }
  return noise;
}

at::Tensor combine_weights(const Routing& routing) {
  return at::zeros_like(routing.logits).scatter(1, routing.expert, routing.weight.detach());
}

at::Tensor buffer_slots(const Routing& routing) {
  const at::Tensor empty = at::full(routing.logits.sizes(), -1, routing.slot.options().dtype(at::kInt));
  return empty.scatter(1, routing.expert, routing.slot.to(at::kInt));
}

}  // namespace moellava
