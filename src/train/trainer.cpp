#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "train/not_finite.hpp"
#include "train/step_dump.hpp"

namespace moellava {

namespace {

// Any fixed numbers: apart from other uses of the seed.
constexpr uint64_t kNoiseStream = 0x747261696e;
constexpr uint64_t kDropoutStream = 0x64726f70;

void count_choices(const std::vector<Routing>& routing, StepReport& report) {
  report.expert_choices.resize(routing.size());
  report.dropped.resize(routing.size());
  for (size_t layer = 0; layer < routing.size(); ++layer) {
    const int64_t experts = routing[layer].logits.size(1);
    const at::Tensor counts = at::bincount(routing[layer].expert.flatten().cpu(), {}, experts);
    const auto* count = static_cast<const int64_t*>(counts.const_data_ptr());
    auto& choices = report.expert_choices[layer];
    choices.resize(static_cast<size_t>(experts));
    for (size_t e = 0; e < choices.size(); ++e) choices[e] += count[e];
    report.dropped[layer] += (routing[layer].slot < 0).sum().item<int64_t>();
  }
}

StepReport report_of(const ForwardPass& pass) {
  StepReport report;
  report.loss = pass.loss.item<double>();
  for (int64_t length : pass.spliced.lengths) report.tokens += length;
  if (!pass.output.balance_loss.defined()) return report;
  report.aux_loss = pass.output.balance_loss.item<double>();
  report.z_loss = pass.output.z_loss.item<double>();
  count_choices(pass.output.routing, report);
  count_routing(pass.output.routing, row_kinds(pass.spliced), report.loads);
  return report;
}

}  // namespace

Trainer::Trainer(MoeLlava& model, const Dataset& dataset, PictureFeatures& features, BatchPlan plan,
                 std::vector<NamedParameter> parameters, const TrainerOptions& options,
                 Communicator* processes, const ExpertSpread& experts)
    : model_(model),
      dataset_(dataset),
      features_(features),
      plan_(std::move(plan)),
      experts_(experts),
      parallel_(processes != nullptr ? *processes : alone_, std::move(parameters),
                {.memory = options.memory, .same_experts = experts.same, .all_names = experts.all_names}),
      optimiser_(parallel_.owned(), options.adamw),
      options_(options) {
  if (experts.group != nullptr) expert_processes_.emplace(*experts.group, options.memory);
}

StepReport Trainer::step() {
  const std::vector<Batch> batches = plan_.micro_batches(steps_done_);
  expect_pictures(steps_done_ + 1);

  // 1. Load, forward, backward, reduce.
  StepReport report = join_reports(compute_gradients(batches));
  report.step = steps_done_ + 1;
  report.learning_rate = options_.schedule.learning_rate(steps_done_);
  if (report.bad) return without_update(std::move(report));

  // 2. Clip.
  const GradientNorm gradients = parallel_.norm();
  report.grad_norm = gradients.norm;
  if (!gradients.not_finite.empty()) {
    report.bad = bad_gradient(batches, gradients.not_finite);
    return without_update(std::move(report));
  }
  if (options_.max_grad_norm > 0)
    clip_gradients(optimiser_.parameters(), gradients.norm, options_.max_grad_norm);

  // 3. Step.
  optimiser_.step(report.learning_rate);
  parallel_.share_parameters();
  ++steps_done_;
  return report;
}

std::vector<StepReport> Trainer::compute_gradients(const std::vector<Batch>& batches) {
  const Share own = own_share(batches.size());
  const double weight = 1.0 / static_cast<double>(batches.size());
  std::vector<StepReport> reports;
  parallel_.clear_gradients();
  // Where experts are spread, every pass needs all processes of the group: one without work of its own runs
  // the first micro-batch, for nothing.
  const size_t passes =
      experts_.group != nullptr ? std::min(accumulation(), batches.size()) : own.end - own.begin;
  for (size_t i = 0; i < passes; ++i) {
    const bool last = i + 1 == passes;
    if (own.begin + i >= own.end) {
      compute(batches[0], 0, /*first=*/false, last);
      continue;
    }
    reports.push_back(compute(batches[own.begin + i], weight, own.begin + i == 0, last));
    if (reports.back().bad && experts_.group == nullptr) break;
  }
  parallel_.finish_gradients();
  if (steps_done_ == 0 && !options_.dump_folder.empty())
    dump_gradients(options_.dump_folder, model_.config().family, parallel_.owned());
  return gather_reports(parallel_.comm(), reports);
}

StepReport Trainer::compute(const Batch& batch, double weight, bool first, bool last) {
  // 1. Load.
  const MicroBatch loaded = load(batch);

  // 2. Forward.
  const ForwardPass pass = forward(loaded);
  StepReport report = report_of(pass);
  if (!std::isfinite(report.loss)) {
    report.bad = bad_loss(loaded, pass);
    if (experts_.group == nullptr) return report;
  }
  if (first && steps_done_ == 0 && !options_.dump_folder.empty())
    dump_forward(options_.dump_folder, loaded, pass);

  // 3. Backward: gradients add up over the micro-batches, and over the processes while they come.
  parallel_.backward(weight < 1 ? pass.loss * weight : pass.loss, last);
  return report;
}

size_t Trainer::accumulation() const {
  const auto ranks = static_cast<size_t>(parallel_.comm().size());
  return (plan_.accumulation() + ranks - 1) / ranks;
}

Share Trainer::own_share(size_t micro_batches) const {
  return share_of(micro_batches, accumulation(), parallel_.comm().rank());
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
  const std::vector<Batch> batches = plan_.micro_batches(step);
  const Share own = own_share(batches.size());
  for (size_t i = own.begin; i < own.end; ++i) {
    for (size_t number : batches[i]) features_.expect(dataset_.pictures(number));
  }
}

// What the model and its adapters drop is a function of seed, step and micro-batch.
uint64_t Trainer::dropout_key(const Batch& samples) const {
  const uint64_t step =
      random_bits(options_.dropout_seed, kDropoutStream, static_cast<uint64_t>(steps_done_));
  return random_bits(step, 0, samples.front());
}

ForwardPass Trainer::forward(const MicroBatch& batch) const {
  if (options_.dropout != nullptr) options_.dropout->key = dropout_key(batch.numbers);
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
  run.moe.expert_processes = expert_processes_ ? &*expert_processes_ : nullptr;
  run.recompute = options_.recompute;
  run.dropout_key = dropout_key(batch.numbers);
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
  // To look for it takes a pass, which where experts are spread needs all processes.
  return {.what = "the loss is not finite",
          .tensor = experts_.group == nullptr ? first_not_finite(model_, pass) : "loss",
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

StepReport Trainer::without_update(StepReport report) {
  parallel_.clear_gradients();
  ++steps_done_;
  return report;
}

}  // namespace moellava
