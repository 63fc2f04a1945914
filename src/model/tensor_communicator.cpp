#include "model/tensor_communicator.hpp"

#include <ATen/core/grad_mode.h>

#include <numeric>

namespace moellava {

namespace {

int64_t total(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// Of rows like those of `values`.
std::vector<size_t> in_bytes(const std::vector<int64_t>& rows, const at::Tensor& values) {
  const int64_t row = c10::multiply_integers(values.sizes().slice(1));
  std::vector<size_t> bytes;
  for (int64_t count : rows) bytes.push_back(static_cast<size_t>(count * row) * values.itemsize());
  return bytes;
}

// Room for `count` rows like those of `values`.
at::Tensor room_for(int64_t count, const at::Tensor& values) {
  at::DimVector shape(values.sizes().begin(), values.sizes().end());
  shape[0] = count;
  return at::empty(shape, values.options());
}

}  // namespace

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

void sum_in_tree(const std::vector<at::Tensor>& parts) {
  const at::NoGradGuard no_grad;
  for (size_t step = 1; step < parts.size(); step *= 2) {
    for (size_t i = 0; i + step < parts.size(); i += 2 * step) parts[i].add_(parts[i + step]);
  }
}

TensorCommunicator::TensorCommunicator(Communicator& host, at::Device memory)
    : host_(host), memory_(memory), comm_(memory.is_cpu() ? host.split(0) : host.on_gpu(memory.index())) {}

at::Tensor TensorCommunicator::all_to_all(const at::Tensor& values, const std::vector<int64_t>& send,
                                          const std::vector<int64_t>& receive) const {
  const at::Tensor from = values.detach().to(memory_).contiguous();
  const at::Tensor to = room_for(total(receive), from);
  comm_->all_to_all(bytes_of(from), in_bytes(send, from), bytes_of(to), in_bytes(receive, from));
  return to.to(values.device());
}

at::Tensor TensorCommunicator::all_gather(const at::Tensor& own, const std::vector<int64_t>& counts) const {
  const at::Tensor from = own.detach().to(memory_).contiguous();
  const at::Tensor to = room_for(total(counts), from);
  comm_->all_gather(bytes_of(from), bytes_of(to), in_bytes(counts, from));
  return to.to(own.device());
}

at::Tensor TensorCommunicator::reduce_scatter(const at::Tensor& values,
                                              const std::vector<int64_t>& counts) const {
  const int64_t own = counts[static_cast<size_t>(rank())];
  const auto ranks = static_cast<size_t>(size());
  const at::Tensor received = all_to_all(values, counts, std::vector<int64_t>(ranks, own));
  const std::vector<at::Tensor> parts = received.split_with_sizes(std::vector<int64_t>(ranks, own), 0);
  sum_in_tree(parts);
  return parts[0];
}

}  // namespace moellava
