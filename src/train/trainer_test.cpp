#include "train/trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "base/error.hpp"
#include "tests/train_tiny_bench.hpp"
#include "train/checkpoint.hpp"
#include "train/loss.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::Bench;
using ::testing::HasSubstr;

void expect_equal_bits(const Bench& a, const Bench& b) {
  const auto left = a.snapshot();
  const auto right = b.snapshot();
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_TRUE(left[i].second.equal(right[i].second)) << left[i].first;
}

TEST(Trainer, EveryStageLearns) {
  for (int stage : {1, 2, 3}) {
    Bench bench(stage, 1e-2);
    const int64_t epoch = 3;
    double first = 0, last = 0;
    for (int64_t step = 0; step < 10 * epoch; ++step) {
      const double loss = bench.trainer->step().loss;
      if (step < epoch) first += loss;
      if (step >= 9 * epoch) last += loss;
    }
    EXPECT_LT(last, first) << "stage " << stage;
  }
}

TEST(Trainer, FrozenParametersKeepEveryBitAndTrainedOnesMove) {
  for (int stage : {1, 2, 3}) {
    Bench bench(stage, 1e-3);
    const auto before = bench.snapshot();
    for (int step = 0; step < 3; ++step) bench.trainer->step();
    const auto after = bench.snapshot();
    size_t i = 0;
    bench.model->visit([&](const std::string& name, at::Tensor& tensor) {
      EXPECT_EQ(before[i].second.equal(after[i].second), !tensor.requires_grad()) << stage << " " << name;
      ++i;
    });
  }
}

// A trainer of adapters; their dropout has the model's own memory.
struct LoraBench {
  std::unique_ptr<MoeLlava> model = testing::tiny_model(/*sparse=*/true);
  testing::TinyDataset dataset = testing::tiny_dataset(12);
  testing::TinyFeatures features = testing::tiny_features(dataset);
  std::unique_ptr<Trainer> trainer;

  explicit LoraBench(double dropout, uint64_t dropout_seed = 5) {
    TrainSettings settings = default_settings(3);
    settings.lora = {.enable = true, .r = 4, .alpha = 8, .dropout = dropout};
    TrainerOptions options{.schedule = {.kind = ScheduleKind::Constant, .peak = 1e-2, .total_steps = 100},
                           .aux_loss_coef = 0.01};
    options.dropout = add_adapters(*model, adapter_settings(settings.lora), is_feed_forward_linear, 1);
    options.dropout_seed = dropout_seed;
    std::vector<int64_t> lengths;
    for (const Sample& sample : dataset.samples) lengths.push_back(sample_length(sample, 4));
    trainer = std::make_unique<Trainer>(*model, dataset, features, BatchPlan(42, lengths, 2, 2),
                                        select_trainable(*model, settings), options);
  }
  std::vector<at::Tensor> trained() const {
    std::vector<at::Tensor> values;
    for (const NamedParameter& parameter : trainer->parameters()) values.push_back(parameter.tensor);
    return values;
  }
};

TEST(Trainer, AdaptersLearnAndTheWeightsBesideThemKeepEveryBit) {
  LoraBench bench(/*dropout=*/0.1);
  std::map<std::string, at::Tensor> before;
  bench.model->visit(
      [&](const std::string& name, at::Tensor& tensor) { before[name] = tensor.detach().clone(); });
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    const double loss = bench.trainer->step().loss;
    if (step < 3) first += loss;
    if (step >= 27) last += loss;
  }
  EXPECT_LT(last, first);
  bench.model->visit([&](const std::string& name, at::Tensor& tensor) {
    EXPECT_EQ(before[name].equal(tensor), !tensor.requires_grad()) << name;
  });
}

// What is dropped depends on the step, not on the steps before it: a run that goes on needs no more than it
// saved.
TEST(Trainer, WhatAdaptersDropIsAFunctionOfTheStep) {
  LoraBench whole(0.3), second(0.3), other_seed(0.3, 6);
  whole.trainer->step();
  const auto saved = whole.trained();
  for (LoraBench* bench : {&second, &other_seed}) {
    const auto values = bench->trained();
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < saved.size(); ++i) values[i].copy_(saved[i]);
    bench->trainer->set_steps_done(1);
  }
  const double loss = whole.trainer->step().loss;
  EXPECT_EQ(second.trainer->step().loss, loss);
  EXPECT_NE(other_seed.trainer->step().loss, loss);
}

TEST(Trainer, TheReportAddsUp) {
  Bench bench(3, 1e-3);
  const StepReport report = bench.trainer->step();
  EXPECT_EQ(report.step, 1);
  EXPECT_EQ(report.learning_rate, 1e-3);
  EXPECT_GT(report.grad_norm, 0);
  ASSERT_EQ(report.loads.size(), 2u);
  for (size_t layer = 0; layer < report.loads.size(); ++layer) {
    ExpertLoad all = report.loads[layer].text;
    EXPECT_GT(all.tokens, 0);
    EXPECT_GT(report.loads[layer].image.tokens, 0);
    all += report.loads[layer].image;
    EXPECT_EQ(all.tokens, report.tokens);
    EXPECT_EQ(std::accumulate(all.chosen.begin(), all.chosen.end(), int64_t{0}), 2 * report.tokens);
    EXPECT_LE(all.dropped, report.dropped[layer]);
    EXPECT_LE(all.entropy, 2.0 * static_cast<double>(report.tokens));  // log2 of four experts
    EXPECT_GT(all.entropy, 0);
  }
  EXPECT_GE(report.aux_loss, 1.9);  // at its best 1 a layer
}

TEST(Trainer, MicroBatchesAreAveraged) {
  Bench together(2, 0, 2, 1, 2);
  const StepReport mean = together.trainer->step();
  Bench apart(2, 0, 2, 1, 1);
  const StepReport a = apart.trainer->step();
  const StepReport b = apart.trainer->step();
  EXPECT_NEAR(mean.loss, (a.loss + b.loss) / 2, 1e-6);
  EXPECT_EQ(mean.tokens, a.tokens + b.tokens);
  EXPECT_LT(mean.grad_norm, std::max(a.grad_norm, b.grad_norm));
}

// The loss of the whole tiny dataset in one batch, and where its rows were routed.
struct Evaluation {
  double loss;
  std::vector<at::Tensor> experts;
};
at::Tensor whole_loss(Bench& bench, DecoderOutput& output) {
  std::vector<SampleIds> samples;
  std::vector<size_t> pictures;
  for (const Sample& sample : bench.dataset.samples) {
    samples.push_back(sample.tokens);
    pictures.insert(pictures.end(), sample.pictures.begin(), sample.pictures.end());
  }
  const Decoder& decoder = bench.model->decoder();
  const Spliced spliced = splice(decoder, samples, bench.model->project(bench.features.gather(pictures)));
  DecoderRun run;
  run.moe.training = true;
  output = decoder.forward(spliced.embeddings, run);
  return cross_entropy(decoder, output.hidden, target_rows(spliced.labels)) + 0.5 * output.balance_loss;
}
Evaluation evaluate(Bench& bench) {
  const at::NoGradGuard no_grad;
  DecoderOutput output;
  Evaluation evaluation{.loss = whole_loss(bench, output).item<double>(), .experts = {}};
  for (const Routing& routing : output.routing) evaluation.experts.push_back(routing.slot);
  return evaluation;
}

// Every trained tensor by itself, along a random direction: (L(p + h d) - L(p - h d)) / 2h = <gradient, d>.
// The loss jumps where a token changes its expert, so directions that reroute are stepped over.
TEST(Trainer, GradientsMatchFiniteDifferences) {
  Bench bench(3, 0);
  DecoderOutput output;
  torch::autograd::backward({whole_loss(bench, output)}, {});
  const Evaluation here = evaluate(bench);
  int checked = 0;
  uint64_t stream = 0;
  for (const NamedParameter& parameter : bench.trainer->parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    const at::NoGradGuard no_grad;
    at::Tensor direction = at::empty_like(parameter.tensor.detach());
    fill_uniform(direction, 1.0, 77, ++stream);
    // Mostly along the gradient, so that the difference stands out of the rounding.
    const at::Tensor gradient = parameter.tensor.grad();
    direction = direction / direction.norm() + gradient / gradient.norm();
    const auto slope = (gradient * direction).sum().item<double>();
    const double h = std::min(2e-2, 5e-3 / std::abs(slope));
    const at::Tensor start = parameter.tensor.detach().clone();
    parameter.tensor.detach().copy_(start + h * direction);
    const Evaluation up = evaluate(bench);
    parameter.tensor.detach().copy_(start - h * direction);
    const Evaluation down = evaluate(bench);
    parameter.tensor.detach().copy_(start);
    bool rerouted = false;
    for (size_t layer = 0; layer < here.experts.size(); ++layer)
      rerouted = rerouted || !up.experts[layer].equal(here.experts[layer]) ||
                 !down.experts[layer].equal(here.experts[layer]);
    if (rerouted) continue;
    EXPECT_NEAR((up.loss - down.loss) / (2 * h), slope, 2e-2 * std::abs(slope) + 2e-5) << parameter.name;
    ++checked;
  }
  EXPECT_GE(checked, 20) << "too many directions rerouted";
}

TEST(Trainer, WithoutBalanceGradientTheRouterLearnsFromTheTextAlone) {
  Bench bench(3, 0);
  DecoderOutput output;
  const at::Tensor loss = whole_loss(bench, output);
  EXPECT_TRUE(output.balance_loss.requires_grad());
  DecoderRun run;
  run.moe.training = true;
  run.moe.balance_gradient = false;
  at::Tensor embeddings = at::empty({1, 6, 16});
  fill_uniform(embeddings, 1.0, 3, 3);
  EXPECT_FALSE(bench.model->decoder().forward(embeddings, run).balance_loss.requires_grad());
}

TEST(Trainer, AResumedRunEndsWithTheSameBits) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("trainer_resume_" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (int stage : {2, 3}) {
    Bench whole(stage, 1e-2);
    for (int step = 0; step < 7; ++step) whole.trainer->step();

    Bench first(stage, 1e-2);
    for (int step = 0; step < 4; ++step) first.trainer->step();
    save_checkpoint(folder, {.step = 4, .updates = 4, .settings = {{"stage", stage}}, .data_hash = "h"},
                    first.trainer->optimiser(), 2);
    Bench second(stage, 1e-2);
    restore_checkpoint(*newest_checkpoint(folder), second.trainer->optimiser());
    EXPECT_EQ(second.trainer->optimiser().updates(), 4);
    second.trainer->set_steps_done(4);
    for (int step = 4; step < 7; ++step) second.trainer->step();
    expect_equal_bits(whole, second);
    fs::remove_all(folder / "checkpoint-4");
  }
}

void expect_unchanged(const Bench& bench, const std::vector<std::pair<std::string, at::Tensor>>& before) {
  const auto after = bench.snapshot();
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(before[i].second.equal(after[i].second)) << after[i].first;
}

TEST(Trainer, ALossThatIsNotFiniteNamesTensorAndSamplesAndChangesNothing) {
  Bench bench(2, 1e-2, 3, 3);
  bench.trainer->step();
  at::Tensor norm = bench.model->decoder().layers()[1].input_layernorm.weight;
  const float good = norm[0].item<float>();
  norm.detach()[0] = INFINITY;
  const auto before = bench.snapshot();
  const StepReport report = bench.trainer->step();
  ASSERT_TRUE(report.bad.has_value());
  EXPECT_EQ(report.step, 2);
  EXPECT_EQ(report.bad->what, "the loss is not finite");
  EXPECT_EQ(report.bad->tensor, "model.layers.1.input_layernorm.weight");
  EXPECT_EQ(report.bad->samples, (std::vector<std::string>{"s0", "s1", "s2"}));
  expect_unchanged(bench, before);
  // The step is over, but the optimiser has seen one less.
  EXPECT_EQ(bench.trainer->steps_done(), 2);
  EXPECT_EQ(bench.trainer->optimiser().updates(), 1);
  norm.detach()[0] = good;
  EXPECT_FALSE(bench.trainer->step().bad.has_value());
  EXPECT_EQ(bench.trainer->optimiser().updates(), 2);
}

TEST(Trainer, TheFirstTensorThatIsNotFiniteIsFound) {
  {  // A picture.
    Bench bench(2, 1e-2, 3, 3);
    bench.features.features[0][0][0] = NAN;
    EXPECT_EQ(bench.trainer->step().bad.value().tensor, "output of the vision tower");
  }
  {  // Numbers that overflow on the way.
    Bench bench(2, 1e-2, 3, 3);
    bench.model->decoder().layers()[2].mlp.down_proj.weight.detach().mul_(1e38);
    bench.model->decoder().layers()[2].mlp.up_proj.weight.detach().mul_(1e38);
    EXPECT_EQ(bench.trainer->step().bad.value().tensor, "output of model.layers.2");
  }
}

TEST(Trainer, ABatchWithoutATargetIsNoStep) {
  Bench bench(2, 1e-2, 4, 1, 2);
  std::vector<int32_t>& labels = bench.dataset.samples[2].tokens.labels;
  labels.assign(labels.size(), kIgnoreLabel);
  for (int epoch = 0; epoch < 3; ++epoch) {
    int bad = 0;
    for (int step = 0; step < 2; ++step) {
      const auto before = bench.snapshot();
      const StepReport report = bench.trainer->step();
      if (!report.bad) continue;
      ++bad;
      EXPECT_EQ(report.bad->what, "no token to train on");
      EXPECT_EQ(report.bad->tensor, "labels");
      EXPECT_EQ(report.bad->samples, std::vector<std::string>{"s2"});
      expect_unchanged(bench, before);
    }
    EXPECT_EQ(bad, 1) << epoch;
  }
  EXPECT_EQ(bench.trainer->optimiser().updates(), 3);
  EXPECT_EQ(bench.trainer->steps_done(), 6);
}

TEST(Trainer, TheZLossIsAddedAndReachesTheRouter) {
  TrainerOptions options{.schedule = {.kind = ScheduleKind::Constant, .peak = 0, .total_steps = 100}};
  Bench plain(3, options);
  options.z_loss_coef = 0.5;
  Bench with(3, options);
  const StepReport without_z = plain.trainer->step(), with_z = with.trainer->step();
  EXPECT_GT(with_z.z_loss, 0);
  EXPECT_NEAR(with_z.loss, without_z.loss + 0.5 * with_z.z_loss, 1e-5);
  const auto router = [](Bench& bench) {
    return bench.model->decoder().layers()[0].moe->router.weight.grad();
  };
  EXPECT_FALSE(router(plain).allclose(router(with)));
}

TEST(Trainer, DrawnSecondExpertsDependOnSeedStepAndSampleOnly) {
  const auto choices = [](std::optional<uint64_t> seed, int64_t micro_batch, int64_t accumulation) {
    Bench bench(
        3, {.schedule = {.kind = ScheduleKind::Constant, .peak = 0, .total_steps = 100}, .gumbel_seed = seed},
        4, micro_batch, accumulation);
    std::vector<std::vector<std::vector<int64_t>>> steps;
    for (int step = 0; step < 2; ++step) steps.push_back(bench.trainer->step().expert_choices);
    return steps;
  };
  const auto drawn = choices(1, 4, 1);
  EXPECT_EQ(drawn, choices(1, 4, 1));
  EXPECT_NE(drawn, choices(2, 4, 1));
  EXPECT_NE(drawn, choices(std::nullopt, 4, 1));
  EXPECT_NE(drawn[0], drawn[1]);  // the same samples, one step later
}

TEST(Trainer, RecordedNoiseMustFitTheBatch) {
  Bench bench(3, {.router_noise = at::zeros({2, 5, 4})});
  try {
    bench.trainer->step();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--router_noise: wrong shape for step 1: found [2, 5, 4]"));
  }
}

}  // namespace
}  // namespace moellava
