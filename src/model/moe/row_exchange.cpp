#include "model/moe/row_exchange.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <numeric>

#include "comm/collectives.hpp"

namespace moellava {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Traffic {
  std::vector<int64_t> send, receive;
  Communicator* processes;
};

std::vector<size_t> in_bytes(const std::vector<int64_t>& rows, int64_t width) {
  std::vector<size_t> bytes;
  for (int64_t count : rows) bytes.push_back(static_cast<size_t>(count * width) * sizeof(float));
  return bytes;
}

// Through the processor's memory, wherever the rows are.
at::Tensor move_rows(const at::Tensor& rows, const Traffic& traffic) {
  const at::Tensor from = rows.cpu().contiguous();
  const int64_t count = std::accumulate(traffic.receive.begin(), traffic.receive.end(), int64_t{0});
  at::Tensor to = at::empty({count, rows.size(1)}, from.options());
  traffic.processes->all_to_all(bytes_of(from), in_bytes(traffic.send, rows.size(1)), bytes_of(to),
                                in_bytes(traffic.receive, rows.size(1)));
  return to.to(rows.device());
}

class RowExchange : public torch::autograd::Function<RowExchange> {
 public:
  // `anchor` requires a gradient and gets none: without it autograd would leave the backward pass out in a
  // process whose own rows need none, and the others would wait for it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& /*anchor*/,
                            const Traffic& traffic) {
    context->saved_data["send"] = traffic.send;
    context->saved_data["receive"] = traffic.receive;
    context->saved_data["processes"] = reinterpret_cast<int64_t>(traffic.processes);
    return move_rows(rows, traffic);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Traffic back{
        .send = context->saved_data["receive"].toIntVector(),
        .receive = context->saved_data["send"].toIntVector(),
        .processes = reinterpret_cast<Communicator*>(context->saved_data["processes"].toInt())};
    return {move_rows(gradients[0], back), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

at::Tensor exchange_rows(const at::Tensor& rows, const std::vector<int64_t>& send,
                         const std::vector<int64_t>& receive, Communicator& processes) {
  const at::Tensor anchor = at::empty({0}, rows.options()).requires_grad_(true);
  return RowExchange::apply(rows, anchor, Traffic{.send = send, .receive = receive, .processes = &processes});
}

ExpertTraffic::ExpertTraffic(const std::vector<int64_t>& counts, Communicator& processes)
    : count_(counts.size() / static_cast<size_t>(processes.size())),
      counts_(all_gather_lists(processes, counts)) {
  const auto rank = static_cast<size_t>(processes.rank());
  first_ = rank * count_;
  for (size_t r = 0; r < counts_.size(); ++r) {
    const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(r * count_);
    sent_.push_back(std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(count_), int64_t{0}));
    const auto here = from(r);
    received_.push_back(std::accumulate(here.begin(), here.end(), int64_t{0}));
  }
}

std::span<const int64_t> ExpertTraffic::from(size_t r) const {
  return std::span(counts_[r]).subspan(first_, count_);
}

}  // namespace moellava
