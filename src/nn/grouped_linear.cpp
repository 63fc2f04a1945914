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

// Rows and columns of a tile at most: large enough for a product at full speed, small enough to share out.
constexpr int64_t kTileRows = 1024, kTileColumns = 1024;
constexpr int64_t kTileStep = 16;  // values of a cache line

// The stretch [begin, begin + count) of a product's rows or columns.
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

// Part of a group's product: out [rows, columns] = a [rows, in] x b [in, columns], plus `bias` [columns]
// where there is one. Computed by one thread.
struct Tile {
  at::Tensor out, a, b, bias;

  int64_t work() const { return out.numel() * a.size(1); }
};

// Which thread takes which tile is left to chance: a tile is the same whoever computes it, however many
// threads there are and whatever the other groups are, and so is every bit of it. The large ones come first,
// so that no thread is left with one while the others have nothing to do.
void compute(std::vector<Tile> tiles) {
  std::stable_sort(tiles.begin(), tiles.end(),
                   [](const Tile& a, const Tile& b) { return a.work() > b.work(); });
  std::atomic<size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    const at::NoGradGuard no_grad;  // a thread's own setting
    for (size_t i = next++; i < tiles.size(); i = next++) {
      Tile& tile = tiles[i];
      if (tile.bias.defined()) {
        at::addmm_out(tile.out, tile.bias, tile.a, tile.b);
      } else {
        at::mm_out(tile.out, tile.a, tile.b);
      }
    }
  });
}

// Appends the tiles of a [N, in] x b [in, columns]; returns what they will fill, [N, columns]: a tensor of
// its own for each product, as bits depend on where a row begins in memory.
at::Tensor add_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                       std::vector<Tile>& tiles) {
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  for (const Stretch& rows : stretches(a.size(0), kTileRows)) {
    const at::Tensor own = a.narrow(0, rows.begin, rows.count),
                     result = out.narrow(0, rows.begin, rows.count);
    for (const auto& [begin, count] : stretches(b.size(1), kTileColumns)) {
      tiles.push_back({result.narrow(1, begin, count), own, b.narrow(1, begin, count),
                       bias.defined() ? bias.narrow(0, begin, count) : at::Tensor()});
    }
  }
  return out;
}

// Rounded to bfloat16; what stands there twice is rounded once.
variable_list all_rounded(const variable_list& tensors) {
  variable_list rounded;
  for (const at::Tensor& tensor : tensors) {
    const auto same = std::find_if(tensors.begin(), tensors.end(), [&](const at::Tensor& other) {
      return other.const_data_ptr() == tensor.const_data_ptr() && other.sizes() == tensor.sizes();
    });
    const auto place = static_cast<size_t>(same - tensors.begin());
    rounded.push_back(place < rounded.size() ? rounded[place] : rounded_to_bfloat16(tensor));
  }
  return rounded;
}

variable_list unpacked(const std::vector<SavedVariable>& saved) {
  variable_list tensors;
  for (const SavedVariable& one : saved) tensors.push_back(one.unpack());
  return tensors;
}

// Inputs: G times rows, then weights, then biases. Outputs: G times rows. `rounded`: factors of all products
// are rounded to bfloat16, again in the backward pass, for which nothing rounded is kept.
class GroupedLinearNode : public torch::autograd::Node {
 public:
  GroupedLinearNode(const variable_list& xs, const variable_list& weights, bool rounded,
                    torch::autograd::edge_list edges)
      : Node(std::move(edges)), rounded_(rounded) {
    for (const at::Tensor& x : xs) xs_.emplace_back(x, /*is_output=*/false);
    for (const at::Tensor& weight : weights) weights_.emplace_back(weight, /*is_output=*/false);
  }

  variable_list apply(variable_list&& gradients) override {
    const size_t count = xs_.size();
    variable_list results(3 * count), xs = unpacked(xs_), weights = unpacked(weights_);
    const auto computes_from = [&](size_t first) {
      for (size_t g = 0; g < count; ++g) {
        if (task_should_compute_output(first + g)) return true;
      }
      return false;
    };
    if (rounded_ && computes_from(0)) weights = all_rounded(weights);
    if (rounded_ && computes_from(count)) xs = all_rounded(xs);
    std::vector<Tile> tiles;
    for (size_t g = 0; g < count; ++g) {
      if (!gradients[g].defined()) continue;
      const at::Tensor given = gradients[g].contiguous();
      const at::Tensor gradient = rounded_ ? rounded_to_bfloat16(given) : given;
      if (task_should_compute_output(g))  // [N, out] x [out, in]
        results[g] = add_product(gradient, weights[g], {}, tiles);
      if (task_should_compute_output(count + g))  // [out, N] x [N, in]
        results[count + g] = add_product(gradient.t(), xs[g], {}, tiles);
      if (task_should_compute_output(2 * count + g)) results[2 * count + g] = given.sum(0);
    }
    compute(std::move(tiles));
    return results;
  }
  void release_variables() override {
    for (SavedVariable& x : xs_) x.reset_data();
    for (SavedVariable& weight : weights_) weight.reset_data();
  }
  std::string name() const override { return "GroupedLinear"; }

 private:
  std::vector<SavedVariable> xs_, weights_;
  bool rounded_;
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
  const bool rounded = factors_are_rounded(weights.front());
  variable_list ys;
  {
    const at::NoGradGuard no_grad;
    const variable_list a = rounded ? all_rounded(xs) : xs, b = rounded ? all_rounded(weights) : weights;
    std::vector<Tile> tiles;
    for (size_t g = 0; g < xs.size(); ++g) ys.push_back(add_product(a[g], b[g].t(), biases[g], tiles));
    compute(std::move(tiles));
  }
  if (!tracked) return ys;
  const std::shared_ptr<GroupedLinearNode> node(
      new GroupedLinearNode(xs, weights, rounded,
                            torch::autograd::collect_next_edges(all_xs, all_weights, all_biases)),
      torch::autograd::deleteNode);
  torch::autograd::set_history(ys, node);
  return ys;
}

}  // namespace

bool can_be_grouped(const Linear& linear) {
  const at::ScalarType type = linear.weight.scalar_type();
  return linear.weight.is_cpu() && (type == at::kFloat || type == at::kDouble) &&
         !(bfloat16_products_wanted() && has_bfloat16_products());
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
