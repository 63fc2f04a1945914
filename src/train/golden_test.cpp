// The original's own numbers: eight AdamW steps of stage 3 on four samples (text only, one picture, two
// pictures), from the pictures' pixels to the losses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "model/load.hpp"
#include "train/features.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava {
namespace {

const std::string kGolden = std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden";

// What a golden run is compared with, as tests/golden/phi/adamw8.json has it.
struct Steps {
  std::vector<double> loss, aux_loss, learning_rate, grad_norm;
};
Steps read_steps(const std::string& run) {
  const Json json = read_json(kGolden + "/phi/adamw8.json");
  Steps steps;
  for (const Json& step : json.at(run)) {
    steps.loss.push_back(step.at("loss"));
    steps.aux_loss.push_back(step.at("aux_sum"));
    steps.learning_rate.push_back(step.at("lr"));
    steps.grad_norm.push_back(step.at("grad_norm_before_clip"));
  }
  return steps;
}

void expect_run(const std::string& name, const std::vector<std::string>& train_modules,
                const Schedule& schedule, double max_grad_norm) {
  const LoadedModel loaded = load_model(kGolden + "/phi/ckpt", {.vision_tower = kGolden + "/clip_tiny"});
  MoeLlava& model = *loaded.model;
  const IndexedDataset dataset({kGolden + "/phi/samples.json"},
                               {.text = {.tokenizer = loaded.tokenizer.get(),
                                         .style = &conversation_style("phi"),
                                         .vocab_size = model.config().decoder.vocab_size},
                                .image_folder = kGolden + "/image",
                                .index_folder = {}},
                               [](const DataProblem& problem) { FAIL() << problem.message; });
  TowerFeatures features(model, dataset, model.config().preprocess, {});
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < dataset.size(); ++i)
    lengths.push_back(dataset.length(i, model.config().vision->tokens()));

  TrainSettings settings = default_settings(3);
  settings.moe.train_modules = train_modules;
  Trainer trainer(model, dataset, features, BatchPlan(42, lengths, 4, 1), select_trainable(model, settings),
                  {.schedule = schedule,
                   .adamw = {},
                   .max_grad_norm = max_grad_norm,
                   .aux_loss_coef = 0.01,
                   .balance_gradient = true});
  const Steps expected = read_steps(name);
  ASSERT_EQ(expected.loss.size(), 8u);
  for (size_t step = 0; step < expected.loss.size(); ++step) {
    const StepReport report = trainer.step();
    EXPECT_NEAR(report.loss, expected.loss[step], 1e-5 * expected.loss[step]) << step;
    EXPECT_NEAR(report.aux_loss, expected.aux_loss[step], 1e-5 * expected.aux_loss[step]) << step;
    EXPECT_NEAR(report.grad_norm, expected.grad_norm[step], 1e-4 * expected.grad_norm[step]) << step;
    EXPECT_NEAR(report.learning_rate, expected.learning_rate[step], 1e-15) << step;
    if (step == 0) {
      EXPECT_EQ(report.dropped, (std::vector<int64_t>{0, 71}));
    }
  }
}

TEST(TrainGolden, EightStepsAtAConstantRate) {
  expect_run("official_trainable", {"fc1", "fc2", "wg"},
             {.kind = ScheduleKind::Constant, .peak = 1e-3, .warmup_steps = 0, .total_steps = 8}, 0);
}

TEST(TrainGolden, EightStepsOfTheScheduleWithClipping) {
  expect_run("official_schedule", {"fc1", "fc2", "wg"},
             {.kind = ScheduleKind::Cosine, .peak = 1e-3, .warmup_steps = 1, .total_steps = 8}, 1.0);
}

}  // namespace
}  // namespace moellava
