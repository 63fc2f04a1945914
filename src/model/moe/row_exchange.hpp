// Rows of tokens on their way to experts in other processes and back. R processes that share the experts of a
// layer, E experts, H width.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <span>
#include <vector>

#include "model/tensor_communicator.hpp"

namespace moellava {

// rows [sum of send, H], a part for each process in order, of send[r] rows; gets those of all processes in
// their order, receive[r] from each: [sum of receive, H]. Collective, and so is its backward pass, which
// brings the gradients the other way: every process goes through it, whether or not its own rows need a
// gradient.
at::Tensor exchange_rows(const at::Tensor& rows, const std::vector<int64_t>& send,
                         const std::vector<int64_t>& receive, const TensorCommunicator& processes);

// Who has how many rows for which expert. Process r has the experts [r E / R, (r + 1) E / R).
class ExpertTraffic {
 public:
  // `counts` [E]: this process's rows. Collective.
  ExpertTraffic(const std::vector<int64_t>& counts, Communicator& processes);

  size_t first() const { return first_; }                             // of this process's experts
  const std::vector<int64_t>& sent() const { return sent_; }          // [R] rows to each process
  const std::vector<int64_t>& received() const { return received_; }  // [R] and from each
  // Of process r's rows, those of each of this process's experts.
  std::span<const int64_t> from(size_t r) const;

 private:
  size_t first_, count_;
  std::vector<std::vector<int64_t>> counts_;  // [R][E]
  std::vector<int64_t> sent_, received_;
};

}  // namespace moellava
