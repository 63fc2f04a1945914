#include "nn/grouped_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>

#include "nn/precision.hpp"

namespace moellava {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr int64_t kRowsOfThread = 64;  // fewer are not worth one: the threads then share each product

// Part of the work on one group: the rows or outputs [begin, end), counted within the group.
using GroupWork = std::function<void(size_t group, int64_t begin, int64_t end)>;

// Shares items[g] of each group, which cost costs[g] each, so that all parts cost the same; a part is one
// stretch of items.
void share_among_threads(const std::vector<int64_t>& items, const std::vector<int64_t>& costs, int64_t parts,
                         const GroupWork& work) {
  const int64_t total = std::inner_product(items.begin(), items.end(), costs.begin(), int64_t{0});
  at::parallel_for(0, parts, 1, [&](int64_t first_part, int64_t last_part) {
    const at::NoGradGuard no_grad;  // a thread's own setting
    const int64_t from = total * first_part / parts, to = total * last_part / parts;
    int64_t before = 0;
    for (size_t g = 0; g < items.size(); ++g) {
      // An item belongs to the part in which its cost ends.
      const auto item_at = [&](int64_t cost) {
        return costs[g] == 0 ? 0 : std::clamp<int64_t>((cost - before) / costs[g], 0, items[g]);
      };
      const int64_t begin = item_at(from), end = item_at(to);
      if (begin < end) work(g, begin, end);
      before += items[g] * costs[g];
    }
  });
}

int64_t parts_for(int64_t rows) {
  return rows < kRowsOfThread * at::get_num_threads() ? 1 : at::get_num_threads();
}

// N rows in groups, and their products with each group's weight.
struct Groups {
  std::vector<int64_t> counts, begins;
  int64_t total = 0;

  explicit Groups(std::span<const int64_t> sizes) : counts(sizes.begin(), sizes.end()) {
    for (const int64_t count : counts) {
      begins.push_back(total);
      total += count;
    }
  }

  // Runs `multiply(g, first row, rows)` for all rows.
  template <class Multiply>
  void over_rows(const Multiply& multiply) const {
    share_among_threads(
        counts, std::vector<int64_t>(counts.size(), 1), parts_for(total),
        [&](size_t g, int64_t begin, int64_t end) { multiply(g, begins[g] + begin, end - begin); });
  }

  // [N, in] x [out, in] -> [N, out]
  at::Tensor forward(const at::Tensor& rows, const variable_list& weights,
                     const variable_list& biases) const {
    at::Tensor y = at::empty({total, weights[0].size(0)}, rows.options());
    over_rows([&](size_t g, int64_t first, int64_t count) {
      at::Tensor own = y.narrow(0, first, count);
      const at::Tensor x = rows.narrow(0, first, count);
      if (biases[g].defined()) {
        at::addmm_out(own, biases[g], x, weights[g].t());
      } else {
        at::mm_out(own, x, weights[g].t());
      }
    });
    return y;
  }

  // [N, out] x [out, in] -> [N, in]
  at::Tensor rows_gradient(const at::Tensor& gradient, const variable_list& weights) const {
    at::Tensor result = at::empty({total, weights[0].size(1)}, gradient.options());
    over_rows([&](size_t g, int64_t first, int64_t count) {
      at::Tensor own = result.narrow(0, first, count);
      at::mm_out(own, gradient.narrow(0, first, count), weights[g]);
    });
    return result;
  }

  // [N, out] x [N, in] -> G times [out, in]; undefined where not `wanted` or without rows.
  variable_list weight_gradients(const at::Tensor& gradient, const at::Tensor& rows,
                                 const std::vector<bool>& wanted) const {
    const int64_t outputs = gradient.size(1);
    variable_list results(counts.size());
    std::vector<int64_t> items(counts.size());
    for (size_t g = 0; g < counts.size(); ++g) {
      if (!wanted[g] || counts[g] == 0) continue;
      items[g] = outputs;
      results[g] = at::empty({outputs, rows.size(1)}, rows.options());
    }
    share_among_threads(items, counts, parts_for(total), [&](size_t g, int64_t begin, int64_t end) {
      at::Tensor own = results[g].narrow(0, begin, end - begin);
      const at::Tensor part = gradient.narrow(0, begins[g], counts[g]).narrow(1, begin, end - begin);
      at::mm_out(own, part.t(), rows.narrow(0, begins[g], counts[g]));
    });
    return results;
  }
};

// Inputs: the rows, then each group's weight, then each group's bias.
class GroupedLinearNode : public torch::autograd::Node {
 public:
  GroupedLinearNode(Groups groups, const at::Tensor& rows, const variable_list& weights,
                    torch::autograd::edge_list edges)
      : Node(std::move(edges)), groups_(std::move(groups)), rows_(rows, /*is_output=*/false) {
    for (const at::Tensor& weight : weights) weights_.emplace_back(weight, /*is_output=*/false);
  }

  variable_list apply(variable_list&& gradients) override {
    const size_t count = groups_.counts.size();
    variable_list results(1 + 2 * count);
    if (!gradients[0].defined()) return results;
    const at::Tensor gradient = gradients[0].contiguous();
    if (task_should_compute_output(0)) {
      variable_list weights;
      for (const SavedVariable& weight : weights_) weights.push_back(weight.unpack());
      results[0] = groups_.rows_gradient(gradient, weights);
    }
    std::vector<bool> wanted(count);
    for (size_t g = 0; g < count; ++g) {
      wanted[g] = task_should_compute_output(1 + g);
      if (!task_should_compute_output(1 + count + g) || groups_.counts[g] == 0) continue;
      results[1 + count + g] = gradient.narrow(0, groups_.begins[g], groups_.counts[g]).sum(0);
    }
    const variable_list of_weights = groups_.weight_gradients(gradient, rows_.unpack(), wanted);
    std::copy(of_weights.begin(), of_weights.end(), results.begin() + 1);
    return results;
  }
  void release_variables() override {
    rows_.reset_data();
    for (SavedVariable& weight : weights_) weight.reset_data();
  }
  std::string name() const override { return "GroupedLinear"; }

 private:
  Groups groups_;
  SavedVariable rows_;
  std::vector<SavedVariable> weights_;
};

}  // namespace

bool can_be_grouped(const Linear& linear) {
  const at::ScalarType type = linear.weight.scalar_type();
  return !linear.low_rank && linear.weight.is_cpu() && (type == at::kFloat || type == at::kDouble) &&
         !rounds_in_software(linear.weight);
}

at::Tensor grouped_linear(const at::Tensor& rows, std::span<const int64_t> counts,
                          const std::vector<const Linear*>& layers) {
  const Groups groups(counts);
  variable_list weights, biases;
  for (const Linear* layer : layers) {
    weights.push_back(layer->weight);
    biases.push_back(layer->bias);
  }
  const at::TensorList all_weights(weights), all_biases(biases);
  const bool tracked = torch::autograd::compute_requires_grad(rows, all_weights, all_biases);
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = groups.forward(rows, weights, biases);
  }
  if (!tracked) return y;
  const std::shared_ptr<GroupedLinearNode> node(
      new GroupedLinearNode(groups, rows, weights,
                            torch::autograd::collect_next_edges(rows, all_weights, all_biases)),
      torch::autograd::deleteNode);
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace moellava
