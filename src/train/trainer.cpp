#include "train/trainer.hpp"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "base/error.hpp"
#include "train/loss.hpp"

namespace moellava {

namespace {

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
  report.step = steps_done() + 1;
  report.learning_rate = options_.schedule.learning_rate(steps_done());
  const std::vector<Batch> batches = plan_.micro_batches(steps_done());
  const auto share = 1.0 / static_cast<double>(batches.size());
  expect_pictures(steps_done() + 1);
  optimiser_.clear_gradients();
  for (const Batch& batch : batches) {
    // 1. Load.
    const MicroBatch loaded = load(batch);

    // 2. Forward.
    const at::Tensor loss = forward(loaded, report);
    const auto value = loss.item<double>();
    if (!std::isfinite(value)) fail(batch, "the loss is not finite", std::to_string(value));
    report.loss += value * share;

    // 3. Backward: gradients add up over the micro-batches.
    torch::autograd::backward({batches.size() > 1 ? loss * share : loss}, {});
  }
  report.aux_loss *= share;

  // 4. Clip.
  const GradientNorm gradients = gradient_norm(optimiser_.parameters());
  report.grad_norm = gradients.norm;
  if (!gradients.not_finite.empty()) fail(batches[0], "a gradient is not finite", gradients.not_finite);
  if (options_.max_grad_norm > 0)
    clip_gradients(optimiser_.parameters(), gradients.norm, options_.max_grad_norm);

  // 5. Step.
  optimiser_.step(report.learning_rate);
  return report;
}

MicroBatch Trainer::load(const Batch& batch) const {
  MicroBatch loaded;
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

at::Tensor Trainer::forward(const MicroBatch& batch, StepReport& report) const {
  const at::Tensor features = features_.gather(batch.pictures);  // [pictures, N, M]
  const Decoder& decoder = model_.decoder();
  const Spliced spliced =
      splice(decoder, batch.samples, features.defined() ? model_.project(features) : features);
  DecoderRun run;
  run.moe = {.training = true,
             .capacity_factor = std::nullopt,
             .balance_gradient = options_.balance_gradient,
             .router_noise = {}};
  if (model_.config().moe.enabled()) run.lengths = spliced.lengths;
  const DecoderOutput output = decoder.forward(spliced.embeddings, run);
  at::Tensor loss = cross_entropy(decoder, output.hidden, target_rows(spliced.labels));
  if (output.balance_loss.defined()) {
    loss = loss + options_.aux_loss_coef * output.balance_loss;
    report.aux_loss += output.balance_loss.item<double>();
    count_choices(output.routing, report);
  }
  for (int64_t length : spliced.lengths) report.tokens += length;
  return loss;
}

void Trainer::fail(const Batch& batch, const std::string& what, const std::string& found) const {
  std::string samples;
  for (size_t number : batch)
    samples += (samples.empty() ? "samples " : ", ") + printable(dataset_.sample(number).id);
  throw bad_data(
      "step " + std::to_string(steps_done() + 1), what,
      {.found = found, .at = samples, .hint = "nothing was changed; a lower --learning_rate may help"});
}

}  // namespace moellava
