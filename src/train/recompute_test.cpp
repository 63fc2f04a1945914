// Training that keeps less: layers that are computed again in the backward pass (--gradient_checkpointing),
// and no graph where nothing below learns.
#include <gtest/gtest.h>

#include "tests/train_tiny_model.hpp"
#include "train/loss.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava {
namespace {

// All parameters after four steps of two micro-batches, and the losses on the way.
std::vector<at::Tensor> after_training(const TrainSettings& settings, TrainerOptions options, bool recompute,
                                       double dropout = 0) {
  ModelConfig config = testing::tiny_config(/*sparse=*/settings.stage == 3);
  config.decoder.embedding_dropout = config.decoder.residual_dropout = dropout;
  const std::unique_ptr<MoeLlava> model = testing::tiny_model(config);
  const testing::TinyDataset dataset = testing::tiny_dataset(12);
  testing::TinyFeatures features = testing::tiny_features(dataset);
  std::vector<int64_t> lengths;
  for (const Sample& sample : dataset.samples) lengths.push_back(sample_length(sample, 4));
  options.schedule = {.kind = ScheduleKind::Constant, .peak = 1e-2, .total_steps = 100};
  options.recompute = recompute;
  if (settings.lora.enable)
    options.dropout = add_adapters(
        *model, adapter_settings(settings.lora), [](const std::string& name) { return name != "lm_head"; },
        1);
  Trainer trainer(*model, dataset, features, BatchPlan(42, lengths, 3, 2), select_trainable(*model, settings),
                  options);
  std::vector<at::Tensor> result;
  for (int step = 0; step < 4; ++step) {
    const StepReport report = trainer.step();
    EXPECT_FALSE(report.bad.has_value());
    result.push_back(
        at::tensor({report.loss, report.aux_loss, report.z_loss, report.grad_norm}, at::kDouble));
  }
  model->visit([&](const std::string&, at::Tensor& tensor) { result.push_back(tensor.detach()); });
  return result;
}

void expect_same_bits(const TrainSettings& settings, const TrainerOptions& options, const std::string& what,
                      double dropout = 0) {
  const std::vector<at::Tensor> expected = after_training(settings, options, /*recompute=*/false, dropout);
  const std::vector<at::Tensor> found = after_training(settings, options, /*recompute=*/true, dropout);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(found[i].equal(expected[i])) << what << ", tensor " << i;
}

TEST(RecomputedTraining, EndsWithTheSameBitsInEveryStage) {
  for (int stage : {1, 2, 3}) expect_same_bits(default_settings(stage), {}, "stage " + std::to_string(stage));
}

TEST(RecomputedTraining, EndsWithTheSameBitsWhateverTheRoutersDo) {
  const TrainSettings settings = default_settings(3);
  expect_same_bits(settings, {.aux_loss_coef = 0.5, .z_loss_coef = 0.1}, "balance and z-loss");
  expect_same_bits(settings, {.aux_loss_coef = 0.5, .balance_gradient = false},
                   "balance loss without gradient");
  expect_same_bits(settings, {.aux_loss_coef = 0.5, .gumbel_seed = 5}, "drawn second experts");
}

// What the adapters' inputs lose is drawn again, and is the same.
TEST(RecomputedTraining, EndsWithTheSameBitsWithAdapters) {
  for (int stage : {2, 3}) {
    TrainSettings settings = default_settings(stage);
    settings.lora = {.enable = true, .r = 4, .alpha = 8, .dropout = 0.3};
    expect_same_bits(settings, {.aux_loss_coef = 0.5}, "stage " + std::to_string(stage));
  }
}

// Likewise what the model itself drops, which is another thing in every step and with every seed.
TEST(RecomputedTraining, EndsWithTheSameBitsWithDropout) {
  const TrainSettings settings = default_settings(3);
  expect_same_bits(settings, {.dropout_seed = 5}, "dropout of 0.3", 0.3);
  const auto loss = [&](uint64_t seed, double dropout) {
    return after_training(settings, {.dropout_seed = seed}, /*recompute=*/false, dropout)[0][0]
        .item<double>();
  };
  EXPECT_NE(loss(5, 0.3), loss(5, 0));
  EXPECT_NE(loss(5, 0.3), loss(6, 0.3));
}

TEST(RecomputedTraining, EndsWithTheSameBitsWhenTheFirstLayersLearnNothing) {
  TrainSettings settings = default_settings(3);
  settings.freeze_mm_mlp_adapter = true;
  settings.moe.train_modules = {"layers.2."};
  expect_same_bits(settings, {.aux_loss_coef = 0.5}, "layer 2 alone");
}

// Of the input of each layer, and of what comes out: whether gradients are computed for it.
std::vector<bool> tracked(const TrainSettings& settings, bool recompute) {
  const std::unique_ptr<MoeLlava> model = testing::tiny_model(/*sparse=*/true);
  select_trainable(*model, settings);
  const at::Tensor features = testing::random_tensor({1, 4, 8}, 3);
  SampleIds sample;
  sample.ids = {kImageTokenId, 5, 6, 7};
  const Spliced spliced = splice(model->decoder(), std::vector{sample}, model->project(features));
  std::vector<at::Tensor> hidden;
  DecoderRun run;
  run.moe.training = true;
  run.hidden = &hidden;
  run.recompute = recompute;
  model->decoder().forward(spliced.embeddings, run);
  std::vector<bool> found;
  for (const at::Tensor& x : hidden) found.push_back(x.requires_grad());
  return found;
}

TEST(FrozenLayers, NoGradientIsComputedBelowTheFirstTrainedParameter) {
  TrainSettings settings = default_settings(3);
  for (bool recompute : {false, true}) {
    settings.freeze_mm_mlp_adapter = false;
    settings.moe.train_modules = {"layers.2."};
    // The projector learns: everything behind it is tracked.
    EXPECT_EQ(tracked(settings, recompute), (std::vector<bool>{true, true, true, true, true}));
    settings.freeze_mm_mlp_adapter = true;
    // The router of layer 0 always learns in stage 3.
    EXPECT_EQ(tracked(settings, recompute), (std::vector<bool>{false, true, true, true, true}));
    settings.stage = kFinetune;
    EXPECT_EQ(tracked(settings, recompute), (std::vector<bool>{false, false, false, true, true}));
    settings.stage = 3;
  }
}

}  // namespace
}  // namespace moellava
