#include "train/step_cost.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "train/adamw.hpp"
#include "train/loss.hpp"
#include "train/memory_meter.hpp"

namespace moellava {

namespace {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Numbers that neither vanish nor explode and send tokens to all experts; trained as `is_trained` of a name
// says.
template <typename Module>
std::vector<at::Tensor> prepare(Module& module, const IsTrained& is_trained) {
  std::vector<at::Tensor> trained;
  uint64_t stream = 0;
  module.visit([&](const std::string& name, at::Tensor& tensor) {
    ++stream;
    if (tensor.dim() < 2) {
      tensor.fill_(1);
    } else {
      fill_uniform(tensor, 1 / std::sqrt(static_cast<double>(tensor[0].numel())), 1, stream);
    }
    if (is_trained(name)) trained.push_back(tensor.requires_grad_(true));
  });
  return trained;
}

// The second of two runs: the first one finds memory and code. `inputs` may get gradients, too.
PartCost measure(const std::vector<at::Tensor>& trained, const std::vector<at::Tensor>& inputs,
                 const std::function<std::vector<at::Tensor>()>& forward) {
  PartCost cost;
  for (const at::Tensor& tensor : trained) cost.gradients += static_cast<int64_t>(tensor.nbytes());
  for (int run = 0; run < 2; ++run) {
    for (const at::Tensor& tensor : trained) tensor.mutable_grad().reset();
    for (const at::Tensor& tensor : inputs) tensor.mutable_grad().reset();
    MemoryMeter meter;
    const Stopwatch watch;
    std::vector<at::Tensor> roots, gradients;
    for (const at::Tensor& output : forward()) {
      if (output.defined() && output.requires_grad()) roots.push_back(output);
    }
    cost.forward_peak = meter.peak();
    cost.kept = roots.empty() ? 0 : meter.now();
    meter.forget_peak();
    for (const at::Tensor& root : roots) gradients.push_back(at::ones_like(root));
    if (!roots.empty()) torch::autograd::backward(roots, gradients);
    cost.backward_peak = meter.peak() - cost.kept;
    cost.seconds = watch.seconds();
  }
  return cost;
}

// A decoder of `layers` alone, with the variations of the whole one, and a vocabulary of one word.
DecoderConfig part_of(DecoderConfig config, int64_t layers) {
  config.layers = layers;
  config.vocab_size = 1;
  return config;
}

MoeConfig moe_part_of(MoeConfig moe, size_t layer) {
  const auto found = std::find(moe.layers.begin(), moe.layers.end(), static_cast<int64_t>(layer));
  if (found == moe.layers.end()) {
    moe.layers.clear();
    moe.experts.clear();
  } else {
    moe.experts = {moe.experts[static_cast<size_t>(found - moe.layers.begin())]};
    moe.layers = {0};
  }
  return moe;
}

// Gives the linear layers of `here` adapters like those of `there`, with memory of their own.
void adapt(Decoder& decoder, const std::string& here, const std::string& there, const AdapterOf& adapter_of) {
  at::Tensor shared;  // the A of q, which k and v may have too
  decoder.visit_linears([&](const std::string& name, Linear& linear) {
    if (!name.starts_with(here)) return;
    const LowRank* adapter = adapter_of(there + name.substr(here.size()));
    if (adapter == nullptr) return;
    linear.low_rank = *adapter;
    linear.low_rank->a = adapter->shares_a ? shared : at::empty(adapter->a.sizes());
    linear.low_rank->b = at::empty(adapter->b.sizes());
    shared = linear.low_rank->a;
  });
}

at::Tensor random_rows(at::IntArrayRef shape, bool needs_gradient) {
  at::Tensor rows = at::empty(shape);
  fill_uniform(rows, 1, 2, 0);
  return rows.requires_grad_(needs_gradient);
}

PartCost decoder_cost(const Decoder& decoder, const std::vector<at::Tensor>& trained, int64_t width,
                      bool below_trains, const CostBatch& batch) {
  const auto samples = static_cast<int64_t>(batch.lengths.size());
  const at::Tensor x = random_rows({samples, batch.positions(), width}, below_trains);
  DecoderRun run;
  run.moe.training = true;
  run.lengths = batch.lengths;
  run.recompute = batch.recompute;
  return measure(trained, {x}, [&] {
    const DecoderOutput output = decoder.forward(x, run);
    return std::vector{output.hidden, output.balance_loss};
  });
}

}  // namespace

int64_t CostBatch::positions() const {
  return *std::max_element(lengths.begin(), lengths.end());
}

PartCost layer_cost(const ModelConfig& config, size_t layer, bool below_trains, const IsTrained& trained,
                    const CostBatch& batch, const AdapterOf& adapter_of) {
  const std::string here = "model.layers.0.", there = "model.layers." + std::to_string(layer) + ".";
  Decoder decoder(part_of(config.decoder, 1), moe_part_of(config.moe, layer));
  adapt(decoder, here, there, adapter_of);
  const std::vector<at::Tensor> parameters = prepare(decoder, [&](const std::string& name) {
    return name.starts_with(here) && trained(there + name.substr(here.size()));
  });
  PartCost cost = decoder_cost(decoder, parameters, config.decoder.hidden_size, below_trains, batch);
  // A decoder ends with a norm, which is none of the layer's.
  Decoder bare(part_of(config.decoder, 0), {});
  prepare(bare, [](const std::string&) { return false; });
  const PartCost norm = decoder_cost(bare, {}, config.decoder.hidden_size, cost.kept > 0, batch);
  cost.seconds = std::max(cost.seconds - norm.seconds, 0.0);
  cost.kept = std::max<int64_t>(cost.kept - norm.kept, 0);
  return cost;
}

PartCost head_cost(const ModelConfig& config, const IsTrained& trained, const CostBatch& batch) {
  DecoderConfig part = config.decoder;
  part.layers = 0;
  Decoder decoder(part, {});
  const std::vector<at::Tensor> parameters = prepare(decoder, trained);
  const auto samples = static_cast<int64_t>(batch.lengths.size());
  const at::Tensor x = random_rows({samples, batch.positions(), part.hidden_size}, true);
  const int64_t rows = samples * batch.positions(), targets = std::clamp<int64_t>(batch.targets, 1, rows);
  const TargetRows where{.rows = at::arange(targets), .labels = at::zeros({targets}, at::kLong)};
  return measure(parameters, {x},
                 [&] { return std::vector{cross_entropy(decoder, decoder.forward(x, {}).hidden, where)}; });
}

PartCost projector_cost(const ModelConfig& config, const IsTrained& trained, const CostBatch& batch) {
  if (!config.vision || batch.pictures == 0) return {};
  Projector projector(config.projector, *config.vision, config.decoder.hidden_size);
  struct Named {
    Projector& projector;
    void visit(const ParameterVisitor& visitor) {
      projector.visit("model.mm_projector.image_spatial_proj", visitor);
    }
  } named{projector};
  const std::vector<at::Tensor> parameters = prepare(named, trained);
  return measure(parameters, {}, [&] {
    const at::Tensor features =
        at::ones({batch.pictures, config.vision->tokens(), config.vision->hidden_size});
    return std::vector{projector(features)};
  });
}

double tower_seconds(const ModelConfig& config) {
  if (!config.vision) return 0;
  VisionTower tower(*config.vision);
  struct Named {
    VisionTower& tower;
    void visit(const ParameterVisitor& visitor) { tower.visit("", visitor); }
  } named{tower};
  prepare(named, [](const std::string&) { return false; });
  const int64_t side = config.vision->image_size;
  const at::Tensor pixels = at::ones({1, 3, side, side});
  double seconds = 0;
  // In a parallel region of its own a thread works alone, as for the feature cache.
  at::parallel_for(0, 2, 1, [&](int64_t begin, int64_t) {
    const at::NoGradGuard no_grad;
    if (begin > 0) return;
    for (int run = 0; run < 2; ++run) {
      const Stopwatch watch;
      tower.features(pixels);
      seconds = watch.seconds();
    }
  });
  return seconds;
}

double update_seconds() {
  const at::Tensor values = at::ones({1 << 22});
  values.mutable_grad() = at::ones_like(values);
  AdamW optimiser({{.name = "values", .tensor = values}}, {});
  optimiser.step(1e-3);
  const Stopwatch watch;
  optimiser.step(1e-3);
  return watch.seconds() / static_cast<double>(values.numel());
}

}  // namespace moellava
