#include "model/moe/dispatch.hpp"

namespace moellava {

Dispatch plan_dispatch(const Routing& routing) {
  const int64_t experts = routing.logits.size(1);
  const int64_t top_k = routing.expert.size(1);
  const at::Tensor expert = routing.expert.flatten();  // [T*K]
  const at::Tensor slot = routing.slot.flatten();
  const at::Tensor kept = (slot >= 0).nonzero().squeeze(1);
  const at::Tensor kept_expert = expert.index_select(0, kept);
  // Slots are unique within an expert and smaller than T*K, so this key sorts by expert, then slot.
  const at::Tensor key = kept_expert * expert.numel() + slot.index_select(0, kept);

  Dispatch plan;
  plan.choice = kept.index_select(0, key.argsort());
  plan.rows = at::floor_divide(plan.choice, top_k);
  const at::Tensor counts = at::bincount(kept_expert, {}, experts).cpu().contiguous();
  plan.counts.assign(counts.data_ptr<int64_t>(), counts.data_ptr<int64_t>() + experts);
  return plan;
}

at::Tensor dispatch(const Dispatch& plan, const at::Tensor& x) {
  return x.index_select(0, plan.rows);
}

at::Tensor combine(const Dispatch& plan, const Routing& routing, const at::Tensor& y) {
  const at::Tensor weight = routing.weight.flatten().index_select(0, plan.choice).to(y.scalar_type());
  const at::Tensor zero = at::zeros({routing.logits.size(0), y.size(1)}, y.options());
  return zero.index_add(0, plan.rows, y * weight.unsqueeze(1));
}

}  // namespace moellava
