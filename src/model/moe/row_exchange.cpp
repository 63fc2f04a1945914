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
  const TensorCommunicator* processes;
};

class RowExchange : public torch::autograd::Function<RowExchange> {
 public:
  // `anchor` requires a gradient and gets none: without it autograd would leave the backward pass out in a
  // process whose own rows need none, and the others would wait for it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& /*anchor*/,
                            const Traffic& traffic) {
    context->saved_data["send"] = traffic.send;
    context->saved_data["receive"] = traffic.receive;
    context->saved_data["processes"] = reinterpret_cast<int64_t>(traffic.processes);
    return traffic.processes->all_to_all(rows, traffic.send, traffic.receive);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto* processes =
        reinterpret_cast<const TensorCommunicator*>(context->saved_data["processes"].toInt());
    return {processes->all_to_all(gradients[0], context->saved_data["receive"].toIntVector(),
                                  context->saved_data["send"].toIntVector()),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor exchange_rows(const at::Tensor& rows, const std::vector<int64_t>& send,
                         const std::vector<int64_t>& receive, const TensorCommunicator& processes) {
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
