#include "nn/grouped_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "nn/precision.hpp"

namespace moellava {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Rows and outputs of a tile at most: large enough for a product at full speed, small enough to share out.
constexpr int64_t kTileRows = 512, kTileOutputs = 1024;
constexpr int64_t kTileStep = 16;  // values of a cache line

// The stretch [begin, begin + count) of a group's rows or outputs.
struct Stretch {
  int64_t begin, count;
};

// Stretches of about the same size, at most `limit`.
std::vector<Stretch> stretches(int64_t items, int64_t limit) {
  const auto divided = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  std::vector<Stretch> result;
  if (items == 0) return result;
  const int64_t size = divided(divided(items, divided(items, limit)), kTileStep) * kTileStep;
  for (int64_t begin = 0; begin < items; begin += size)
    result.push_back({begin, std::min(size, items - begin)});
  return result;
}

// Part of a group's product, computed by one thread.
struct Tile {
  size_t group;
  Stretch rows, outputs;
};

// Which thread takes which tile is left to chance: a tile is the same whoever computes it, however many
// threads there are and whatever the other groups are, and so is every bit of it.
template <class Multiply>
void multiply_tiles(const std::vector<Tile>& tiles, const Multiply& multiply) {
  std::atomic<size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    const at::NoGradGuard no_grad;  // a thread's own setting
    for (size_t i = next++; i < tiles.size(); i = next++) multiply(tiles[i]);
  });
}

// Of products [rows of the group, in] x [in, outputs].
std::vector<Tile> tiles_of(const variable_list& xs, int64_t outputs) {
  std::vector<Tile> tiles;
  for (size_t g = 0; g < xs.size(); ++g) {
    if (!xs[g].defined()) continue;
    for (const Stretch& rows : stretches(xs[g].size(0), kTileRows)) {
      for (const Stretch& columns : stretches(outputs, kTileOutputs)) tiles.push_back({g, rows, columns});
    }
  }
  return tiles;
}

at::Tensor rows_of(const Tile& tile, const at::Tensor& x) {
  return x.narrow(0, tile.rows.begin, tile.rows.count);
}
at::Tensor columns_of(const Tile& tile, const at::Tensor& x) {
  return x.narrow(1, tile.outputs.begin, tile.outputs.count);
}

// A tensor of its own for each group: bits depend on where a row begins in memory. Undefined where x is.
variable_list results_for(const variable_list& xs, int64_t outputs) {
  variable_list results;
  for (const at::Tensor& x : xs)
    results.push_back(x.defined() ? at::empty({x.size(0), outputs}, x.options()) : at::Tensor());
  return results;
}

// [N, in] x [out, in] -> [N, out] of each group
variable_list forward(const variable_list& xs, const variable_list& weights, const variable_list& biases) {
  const int64_t outputs = weights[0].size(0);
  const variable_list ys = results_for(xs, outputs);
  multiply_tiles(tiles_of(xs, outputs), [&](const Tile& tile) {
    const size_t g = tile.group;
    at::Tensor own = columns_of(tile, rows_of(tile, ys[g]));
    const auto& [begin, count] = tile.outputs;
    const at::Tensor weight = weights[g].narrow(0, begin, count).t();
    if (biases[g].defined()) {
      at::addmm_out(own, biases[g].narrow(0, begin, count), rows_of(tile, xs[g]), weight);
    } else {
      at::mm_out(own, rows_of(tile, xs[g]), weight);
    }
  });
  return ys;
}

// [N, out] x [out, in] -> [N, in] of each group
variable_list row_gradients(const variable_list& gradients, const variable_list& weights) {
  const int64_t inputs = weights[0].size(1);
  const variable_list results = results_for(gradients, inputs);
  multiply_tiles(tiles_of(gradients, inputs), [&](const Tile& tile) {
    const size_t g = tile.group;
    at::Tensor own = columns_of(tile, rows_of(tile, results[g]));
    at::mm_out(own, rows_of(tile, gradients[g]), columns_of(tile, weights[g]));
  });
  return results;
}

// [N, out] x [N, in] -> [out, in] of each group that is `wanted`
variable_list weight_gradients(const variable_list& gradients, const variable_list& xs,
                               const std::vector<bool>& wanted) {
  variable_list results(xs.size());
  std::vector<Tile> tiles;
  for (size_t g = 0; g < xs.size(); ++g) {
    if (!wanted[g] || !gradients[g].defined()) continue;
    const int64_t outputs = gradients[g].size(1);
    results[g] = at::empty({outputs, xs[g].size(1)}, xs[g].options());
    for (const Stretch& part : stretches(outputs, kTileOutputs)) tiles.push_back({g, {}, part});
  }
  multiply_tiles(tiles, [&](const Tile& tile) {
    const size_t g = tile.group;
    at::Tensor own = results[g].narrow(0, tile.outputs.begin, tile.outputs.count);
    at::mm_out(own, columns_of(tile, gradients[g]).t(), xs[g]);
  });
  return results;
}

variable_list unpacked(const std::vector<SavedVariable>& saved) {
  variable_list tensors;
  for (const SavedVariable& tensor : saved) tensors.push_back(tensor.unpack());
  return tensors;
}

// Inputs: G times rows, then weights, then biases. Outputs: G times rows.
class GroupedLinearNode : public torch::autograd::Node {
 public:
  GroupedLinearNode(const variable_list& xs, const variable_list& weights, torch::autograd::edge_list edges)
      : Node(std::move(edges)) {
    for (const at::Tensor& x : xs) xs_.emplace_back(x, /*is_output=*/false);
    for (const at::Tensor& weight : weights) weights_.emplace_back(weight, /*is_output=*/false);
  }

  variable_list apply(variable_list&& gradients) override {
    const size_t count = xs_.size();
    variable_list results(3 * count);
    std::vector<bool> wanted(count);
    bool rows_wanted = false;
    for (size_t g = 0; g < count; ++g) {
      if (!gradients[g].defined()) continue;
      gradients[g] = gradients[g].contiguous();
      rows_wanted = rows_wanted || task_should_compute_output(g);
      wanted[g] = task_should_compute_output(count + g);
      if (task_should_compute_output(2 * count + g)) results[2 * count + g] = gradients[g].sum(0);
    }
    if (rows_wanted) {
      const variable_list of_rows = row_gradients(gradients, unpacked(weights_));
      std::copy(of_rows.begin(), of_rows.end(), results.begin());
    }
    const variable_list of_weights = weight_gradients(gradients, unpacked(xs_), wanted);
    std::copy(of_weights.begin(), of_weights.end(), results.begin() + static_cast<ptrdiff_t>(count));
    return results;
  }
  void release_variables() override {
    for (SavedVariable& x : xs_) x.reset_data();
    for (SavedVariable& weight : weights_) weight.reset_data();
  }
  std::string name() const override { return "GroupedLinear"; }

 private:
  std::vector<SavedVariable> xs_, weights_;
};

// The layers without their adapters.
variable_list grouped_products(const variable_list& xs, const std::vector<const Linear*>& layers) {
  variable_list weights, biases;
  for (const Linear* layer : layers) {
    weights.push_back(layer->weight);
    biases.push_back(layer->bias);
  }
  const at::TensorList all_xs(xs), all_weights(weights), all_biases(biases);
  const bool tracked = torch::autograd::compute_requires_grad(all_xs, all_weights, all_biases);
  variable_list ys;
  {
    const at::NoGradGuard no_grad;
    ys = forward(xs, weights, biases);
  }
  if (!tracked) return ys;
  const std::shared_ptr<GroupedLinearNode> node(
      new GroupedLinearNode(xs, weights,
                            torch::autograd::collect_next_edges(all_xs, all_weights, all_biases)),
      torch::autograd::deleteNode);
  torch::autograd::set_history(ys, node);
  return ys;
}

}  // namespace

bool can_be_grouped(const Linear& linear) {
  const at::ScalarType type = linear.weight.scalar_type();
  return linear.weight.is_cpu() && (type == at::kFloat || type == at::kDouble) && !bfloat16_products_wanted();
}

std::vector<at::Tensor> grouped_linear(const std::vector<at::Tensor>& xs,
                                       const std::vector<const Linear*>& layers) {
  std::vector<at::Tensor> ys = grouped_products(xs, layers);
  for (size_t g = 0; g < layers.size(); ++g) {
    if (layers[g]->low_rank) ys[g] = ys[g] + (*layers[g]->low_rank)(xs[g]);
  }
  return ys;
}

}  // namespace moellava
