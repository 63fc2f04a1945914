#include "train/trainer.hpp"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "train/not_finite.hpp"
#include "train/step_dump.hpp"

namespace moellava {

namespace {

constexpr uint64_t kNoiseStream = 0x747261696e;  // any fixed number: apart from other uses of the seed

void count_choices(const std::vector<Routing>& routing, StepReport& report) {
  report.expert_choices.resize(routing.size());
  report.dropped.resize(routing.size());
  for (size_t layer = 0; layer < routing.size(); ++layer) {
    const int64_t experts = routing[layer].logits.size(1);
    const at::Tensor counts = at::bincount(routing[layer].expert.flatten(), {}, experts);
    const auto* count = static_cast<const int64_t*>(counts.const_data_ptr());
    auto& choices = report.expert_choices[layer];
    choices.resize(static_cast<size_t>(experts));
    for (size_t e = 0; e < choices.size(); ++e) choices[e] += count[e];
    report.dropped[layer] += (routing[layer].slot < 0).sum().item<int64_t>();
  }
}

void add_up(const ForwardPass& pass, double share, StepReport& report) {
  report.loss += pass.loss.item<double>() * share;
  for (int64_t length : pass.spliced.lengths) report.tokens += length;
  if (!pass.output.balance_loss.defined()) return;
  report.aux_loss += pass.output.balance_loss.item<double>() * share;
  report.z_loss += pass.output.z_loss.item<double>() * share;
  count_choices(pass.output.routing, report);
}

}  // namespace

Trainer::Trainer(MoeLlava& model, const Dataset& dataset, PictureFeatures& features, BatchPlan plan,
                 std::vector<NamedParameter> parameters, const TrainerOptions& options)
    : model_(model),
      dataset_(dataset),
      features_(features),
      plan_(std::move(plan)),
      optimiser_(std::move(parameters), options.adamw),
      options_(options) {}

StepReport Trainer::step() {
  StepReport report;
  report.step = steps_done_ + 1;
  report.learning_rate = options_.schedule.learning_rate(steps_done_);
  const std::vector<Batch> batches = plan_.micro_batches(steps_done_);
  const auto share = 1.0 / static_cast<double>(batches.size());
  expect_pictures(steps_done_ + 1);
  optimiser_.clear_gradients();
  const bool dumping = report.step == 1 && !options_.dump_folder.empty();
  for (const Batch& batch : batches) {
    // 1. Load.
    const MicroBatch loaded = load(batch);

    // 2. Forward.
    const ForwardPass pass = forward(loaded);
    const auto loss = pass.loss.item<double>();
    if (!std::isfinite(loss)) return without_update(std::move(report), bad_loss(loaded, pass));
    add_up(pass, share, report);

    if (dumping && &batch == &batches[0]) dump_forward(options_.dump_folder, loaded, pass);

    // 3. Backward: gradients add up over the micro-batches.
    torch::autograd::backward({batches.size() > 1 ? pass.loss * share : pass.loss}, {});
  }

  if (dumping) dump_gradients(options_.dump_folder, model_.config().family, optimiser_.parameters());

  // 4. Clip.
  const GradientNorm gradients = gradient_norm(optimiser_.parameters());
  report.grad_norm = gradients.norm;
  if (!gradients.not_finite.empty())
    return without_update(std::move(report), bad_gradient(batches, gradients.not_finite));
  if (options_.max_grad_norm > 0)
    clip_gradients(optimiser_.parameters(), gradients.norm, options_.max_grad_norm);

  // 5. Step.
  optimiser_.step(report.learning_rate);
  ++steps_done_;
  return report;
}

MicroBatch Trainer::load(const Batch& batch) const {
  MicroBatch loaded{.numbers = batch, .samples = {}, .pictures = {}};
  for (size_t number : batch) {
    Sample sample = dataset_.sample(number);
    loaded.samples.push_back(std::move(sample.tokens));
    loaded.pictures.insert(loaded.pictures.end(), sample.pictures.begin(), sample.pictures.end());
  }
  return loaded;
}

// They are decoded while the step before is at work.
void Trainer::expect_pictures(int64_t step) {
  for (const Batch& batch : plan_.micro_batches(step)) {
    for (size_t number : batch) features_.expect(dataset_.pictures(number));
  }
}

ForwardPass Trainer::forward(const MicroBatch& batch) const {
  const Decoder& decoder = model_.decoder();
  ForwardPass pass;
  pass.features = features_.gather(batch.pictures);
  pass.spliced =
      splice(decoder, batch.samples, pass.features.defined() ? model_.project(pass.features) : pass.features);
  pass.run = decoder_run(batch, pass.spliced);
  pass.output = decoder.forward(pass.spliced.embeddings, pass.run);
  pass.targets = target_rows(pass.spliced.labels);
  pass.loss = cross_entropy(decoder, pass.output.hidden, pass.targets);
  if (pass.output.balance_loss.defined())
    pass.loss = pass.loss + options_.aux_loss_coef * pass.output.balance_loss;
  if (pass.output.z_loss.defined() && options_.z_loss_coef > 0)
    pass.loss = pass.loss + options_.z_loss_coef * pass.output.z_loss;
  return pass;
}

DecoderRun Trainer::decoder_run(const MicroBatch& batch, const Spliced& spliced) const {
  DecoderRun run;
  run.moe.training = true;
  run.moe.balance_gradient = options_.balance_gradient;
  if (!model_.config().moe.enabled()) return run;
  run.lengths = spliced.lengths;
  run.moe.router_noise = router_noise(batch.numbers, spliced.embeddings.size(1));
  return run;
}

// [L, B * T, E] or undefined. What is drawn is a function of seed, step, sample and position, however batches
// are cut.
at::Tensor Trainer::router_noise(const Batch& samples, int64_t positions) const {
  const auto rows = static_cast<int64_t>(samples.size()) * positions;
  const MoeConfig& moe = model_.config().moe;
  const auto layers = static_cast<int64_t>(moe.layers.size());
  const int64_t experts = *std::max_element(moe.experts.begin(), moe.experts.end());
  if (const at::Tensor& recorded = options_.router_noise; recorded.defined()) {
    const std::vector<int64_t> expected = {layers, rows, experts};
    if (recorded.sizes() != expected) {
      throw bad_data("--router_noise", "wrong shape for step " + std::to_string(steps_done_ + 1),
                     {.found = c10::str(recorded.sizes()),
                      .expected = c10::str(at::IntArrayRef(expected)) + " for layers, positions, experts"});
    }
    return recorded;
  }
  if (!options_.gumbel_seed) return {};
  const uint64_t seed = random_bits(*options_.gumbel_seed, kNoiseStream, static_cast<uint64_t>(steps_done_));
  at::Tensor noise = at::empty({layers, rows, experts});
  for (int64_t layer = 0; layer < layers; ++layer) {
    for (size_t b = 0; b < samples.size(); ++b) {
      noise[layer]
          .narrow(0, static_cast<int64_t>(b) * positions, positions)
          .copy_(gumbel_noise(random_bits(seed, 0, samples[b]), layer, 0, positions, experts));
    }
  }
  return noise;
}

BadStep Trainer::bad_loss(const MicroBatch& batch, const ForwardPass& pass) const {
  if (pass.targets.rows.numel() == 0)
    return {.what = "no token to train on", .tensor = "labels", .samples = ids(batch.numbers)};
  return {.what = "the loss is not finite",
          .tensor = first_not_finite(model_, pass),
          .samples = ids(batch.numbers)};
}

BadStep Trainer::bad_gradient(const std::vector<Batch>& batches, const std::string& tensor) const {
  BadStep bad{.what = "a gradient is not finite", .tensor = tensor, .samples = {}};
  for (const Batch& batch : batches) {
    for (std::string& id : ids(batch)) bad.samples.push_back(std::move(id));
  }
  return bad;
}

std::vector<std::string> Trainer::ids(const Batch& samples) const {
  std::vector<std::string> ids;
  for (size_t number : samples) ids.push_back(dataset_.sample(number).id);
  return ids;
}

StepReport Trainer::without_update(StepReport report, BadStep bad) {
  optimiser_.clear_gradients();
  ++steps_done_;
  report.bad = std::move(bad);
  return report;
}

}  // namespace moellava
