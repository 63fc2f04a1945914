#include "train/loss.hpp"

#include "text/conversation.hpp"

namespace moellava {

TargetRows target_rows(const at::Tensor& labels) {
  const at::Tensor next = at::full_like(labels, kIgnoreLabel);
  next.narrow(1, 0, labels.size(1) - 1).copy_(labels.narrow(1, 1, labels.size(1) - 1));
  const at::Tensor flat = next.flatten();
  TargetRows targets;
  targets.rows = (flat != kIgnoreLabel).nonzero().squeeze(1);
  targets.labels = flat.index_select(0, targets.rows);
  return targets;
}

at::Tensor cross_entropy(const Decoder& decoder, const at::Tensor& hidden, const TargetRows& targets) {
  const at::Tensor rows = hidden.flatten(0, 1).index_select(0, targets.rows.to(hidden.device()));
  const at::Tensor logits = decoder.logits(rows);  // [R, V]
  return at::cross_entropy_loss(logits, targets.labels.to(logits.device()));
}

}  // namespace moellava
