// Experts spread over processes (--ep_size N): N processes with neighbouring ranks have the experts of every
// MoE layer together, E / N each; the next N have them again.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "model/moe_llava.hpp"
#include "train/adamw.hpp"

namespace moellava {

class ExpertParallel {
 public:
  // `model` has all experts; it and `comm` must outlive this. Throws Usage when processes or experts cannot
  // be shared out so. With ep_size 1 nothing is spread.
  ExpertParallel(Communicator& comm, MoeLlava& model, int64_t ep_size);

  bool spread() const { return group_->size() > 1; }
  // The processes that have all experts together; those that have the same as this.
  Communicator& group() const { return *group_; }
  Communicator& same_experts() const { return *same_; }

  // Frees the weights of the experts that others keep, and takes them out of `parameters`.
  void forget_others(std::vector<NamedParameter>* parameters = nullptr);
  // The model is whole again in rank 0, where the others' experts come from its group. Collective.
  void collect();

 private:
  bool keeps(const MoeLayer& layer, size_t expert) const { return keeper(layer, expert) == group_->rank(); }
  int keeper(const MoeLayer& layer, size_t expert) const;  // rank in the group
  void bring(std::span<std::byte> bytes, int from) const;
  size_t tensors_of_expert(MoeLayer& layer) const;

  MoeLlava& model_;
  std::unique_ptr<Communicator> group_, same_;
  bool first_group_;
};

}  // namespace moellava
