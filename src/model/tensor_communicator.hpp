// Tensors between the processes of a run. R processes, numbered by rank.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace moellava {

// What a communicator takes of a contiguous tensor in its memory.
std::span<std::byte> bytes_of(const at::Tensor& tensor);

// parts[0] becomes the sum of all [P], added up in a binary tree: ((0 + 1) + (2 + 3)) + (4 + 5). A process
// that holds four parts and four processes that hold one each so get the same bits.
void sum_in_tree(const std::vector<at::Tensor>& parts);

class TensorCommunicator {
 public:
  // Of the processes of `host`, which must outlive it; collective. `memory`: where values lie on their way,
  // the processor's, for MPI, or this process's GPU's, for NCCL. Values on another device are copied there
  // and results back. Throws Usage when the program or the GPUs are not made for that.
  TensorCommunicator(Communicator& host, at::Device memory);

  Communicator& host() const { return host_; }
  int rank() const { return host_.rank(); }
  int size() const { return host_.size(); }
  at::Device memory() const { return memory_; }

  // Collective, as those of the communicator; results are on the device of what is sent.

  // `values` [sum of send, ...], a part for each rank in order, of send[r] rows; returns those of all ranks
  // in order, receive[r] rows of each: [sum of receive, ...].
  at::Tensor all_to_all(const at::Tensor& values, const std::vector<int64_t>& send,
                        const std::vector<int64_t>& receive) const;
  // The parts of all ranks in order, counts[r] rows of each ([R], the same everywhere): [sum of counts, ...].
  at::Tensor all_gather(const at::Tensor& own, const std::vector<int64_t>& counts) const;
  // `values` [sum of counts], a part for each rank in order; the sum of all ranks' parts for this one, in the
  // order of sum_in_tree: the first half of an all-reduce.
  at::Tensor reduce_scatter(const at::Tensor& values, const std::vector<int64_t>& counts) const;

 private:
  Communicator& host_;
  at::Device memory_;
  std::unique_ptr<Communicator> comm_;
};

}  // namespace moellava
