#include "train/expert_parallel.hpp"

#include <ATen/core/grad_mode.h>

#include <string>
#include <unordered_set>

#include "base/error.hpp"
#include "model/tensor_communicator.hpp"

namespace moellava {

namespace {

void require_divisible(int64_t number, int64_t ep_size, const std::string& what) {
  if (number % ep_size == 0) return;
  throw usage_error("--ep_size", "does not divide the number of " + what,
                    {.found = std::to_string(ep_size), .expected = "a divisor of " + std::to_string(number)});
}

// The same layer with weights of its own, whose values do not matter.
FeedForward like(const FeedForward& expert) {
  FeedForward made = expert;
  made.visit("", [](const std::string&, at::Tensor& tensor) {
    tensor = at::empty_like(tensor.detach()).set_requires_grad(tensor.requires_grad());
  });
  return made;
}

}  // namespace

ExpertParallel::ExpertParallel(Communicator& comm, MoeLlava& model, int64_t ep_size)
    : model_(model), first_group_(comm.rank() < ep_size) {
  require_divisible(comm.size(), ep_size, "processes");
  for (int64_t experts : model.config().moe.experts)
    require_divisible(experts, ep_size, "experts of every layer");
  if (ep_size > 1 && !model.config().moe.enabled())
    throw usage_error("--ep_size", "the model has no experts", {.found = std::to_string(ep_size)});
  group_ = comm.split(comm.rank() / static_cast<int>(ep_size));
  same_ = comm.split(comm.rank() % static_cast<int>(ep_size));
}

int ExpertParallel::keeper(const MoeLayer& layer, size_t expert) const {
  return static_cast<int>(expert * static_cast<size_t>(group_->size()) / layer.experts.size());
}

void ExpertParallel::forget_others(std::vector<NamedParameter>* parameters) {
  for (DecoderLayer& layer : model_.decoder().layers()) {
    if (!layer.moe) continue;
    for (size_t e = 0; e < layer.moe->experts.size(); ++e) {
      if (!keeps(*layer.moe, e)) layer.moe->experts[e] = FeedForward();
    }
  }
  if (parameters == nullptr) return;
  std::unordered_set<std::string> kept;
  model_.visit([&](const std::string& name, at::Tensor&) { kept.insert(name); });
  std::erase_if(*parameters, [&](const NamedParameter& parameter) { return !kept.contains(parameter.name); });
}

void ExpertParallel::collect() {
  if (!spread() || !first_group_) return;
  const at::NoGradGuard no_grad;
  for (DecoderLayer& layer : model_.decoder().layers()) {
    if (!layer.moe) continue;
    std::vector<FeedForward>& experts = layer.moe->experts;
    for (size_t e = 0; e < experts.size(); ++e) {
      const int from = keeper(*layer.moe, e);
      if (from == 0) continue;  // rank 0 has it
      if (group_->rank() == 0) experts[e] = like(experts[0]);
      if (group_->rank() == 0 || group_->rank() == from) {
        experts[e].visit("", [&](const std::string&, at::Tensor& tensor) {
          const at::Tensor values = tensor.detach().cpu();
          bring(bytes_of(values), from);
          if (group_->rank() == 0 && !tensor.is_cpu()) tensor.copy_(values);
        });
      } else {
        for (size_t i = 0; i < tensors_of_expert(*layer.moe); ++i) bring({}, from);
      }
    }
  }
}

// From the rank `from` of the group to its rank 0; the others have nothing to give.
void ExpertParallel::bring(std::span<std::byte> bytes, int from) const {
  const auto ranks = static_cast<size_t>(group_->size());
  std::vector<size_t> send(ranks, 0), receive(ranks, 0);
  std::span<std::byte> sent, received;
  if (group_->rank() == from) {
    sent = bytes;
    send[0] = bytes.size();
  } else if (group_->rank() == 0) {
    received = bytes;
    receive[static_cast<size_t>(from)] = bytes.size();
  }
  group_->all_to_all(sent, send, received, receive);
}

// How many each process brings, though not its own.
size_t ExpertParallel::tensors_of_expert(MoeLayer& layer) const {
  size_t count = 0;
  for (size_t e = 0; e < layer.experts.size() && count == 0; ++e) {
    if (keeps(layer, e)) layer.experts[e].visit("", [&](const std::string&, at::Tensor&) { ++count; });
  }
  return count;
}

}  // namespace moellava
