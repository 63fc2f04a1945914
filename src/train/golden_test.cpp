// The original's own numbers, from the pictures' pixels to the losses, for four families: stage 2, stage 3
// with dropping and recorded noise, copied experts, and eight AdamW steps in three ways. Four samples: a
// conversation about a picture, text only, one picture behind the question, two pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/json.hpp"
#include "files/npy.hpp"
#include "model/families/family.hpp"
#include "tests/testing.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::golden;
using testing::load_golden;
using testing::relative_difference;

struct GoldenFamily {
  const char* name;
  const char* style;
  std::vector<std::string> train_modules;  // as the original's scripts name them
};
const GoldenFamily kFamilies[] = {{"phi", "phi", {"fc1", "fc2", "wg"}},
                                  {"qwen", "qwen", {"mlp.w1", "mlp.w2", "mlp.c_proj", "wg"}},
                                  {"stablelm", "stablelm", {"gate_proj", "up_proj", "down_proj", "wg"}},
                                  {"llama", "v1", {"gate_proj", "up_proj", "down_proj", "wg"}}};

// A training run over the four samples in one batch.
struct GoldenRun {
  LoadedModel loaded;
  IndexedDataset dataset;
  TowerFeatures features;
  fs::path dump;
  std::unique_ptr<Trainer> trainer;

  GoldenRun(const GoldenFamily& family, TrainSettings settings, const char* checkpoint,
            TrainerOptions options)
      : loaded(load(family, settings, checkpoint)),
        dataset({golden("train/samples.json")},
                {.text = {.tokenizer = loaded.tokenizer.get(),
                          .style = &conversation_style(family.style),
                          .vocab_size = loaded.model->config().decoder.vocab_size},
                 .image_folder = golden("image"),
                 .index_folder = {}},
                [](const DataProblem& problem) { FAIL() << problem.message; }),
        features(*loaded.model, dataset, loaded.model->config().preprocess, {}),
        dump(fs::path(::testing::TempDir()) / ("golden_step_" + std::to_string(::getpid()))) {
    std::vector<int64_t> lengths;
    for (size_t i = 0; i < dataset.size(); ++i)
      lengths.push_back(dataset.length(i, loaded.model->config().vision->tokens()));
    options.aux_loss_coef = 0.01;
    options.dump_folder = dump;
    trainer = std::make_unique<Trainer>(*loaded.model, dataset, features, BatchPlan(42, lengths, 4, 1),
                                        select_trainable(*loaded.model, settings), options);
  }
  ~GoldenRun() { fs::remove_all(dump); }

  static LoadedModel load(const GoldenFamily& family, TrainSettings& settings, const char* checkpoint) {
    settings.model_name_or_path = golden(std::string(family.name) + "/" + checkpoint);
    settings.vision_tower = golden("clip_tiny");
    settings.moe.train_modules = family.train_modules;
    return load_for_stage(settings);
  }

  std::vector<std::string> trained_names() const {
    const Family& family = family_by_name(loaded.model->config().family);
    std::vector<std::string> names;
    for (const NamedParameter& parameter : trainer->optimiser().parameters())
      names.push_back(family.file_name(parameter.name));
    std::sort(names.begin(), names.end());
    return names;
  }
  at::Tensor dumped(const std::string& name) const {
    const NpyArray array = read_npy(dump / (name + ".npy"));
    return at::tensor(array.values).view(array.shape);
  }
};

std::string file(const GoldenFamily& family, const std::string& name) {
  return "train/" + std::string(family.name) + "/" + name;
}

TrainerOptions at_rate(double rate) {
  return {.schedule = {.kind = ScheduleKind::Constant, .peak = rate, .warmup_steps = 0, .total_steps = 8}};
}

// Of every trained parameter the gradient's norm, and some gradients whole.
void expect_gradients(const GoldenRun& run, const GoldenFamily& family, const Json& norms,
                      const std::string& folder) {
  const Json found = read_json(run.dump / "gradient_norms.json");
  ASSERT_EQ(found.size(), norms.size());
  for (const auto& [name, norm] : norms.items()) {
    const auto expected = norm.get<double>();
    EXPECT_NEAR(found.at(name).get<double>(), expected, 1e-3 * expected) << name;
  }
  size_t whole = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden(file(family, folder)))) {
    const std::string name = entry.path().filename().string();
    const at::Tensor expected = load_golden(file(family, folder + "/" + name));
    EXPECT_LE(relative_difference(run.dumped("gradients/" + entry.path().stem().string()), expected), 1e-3)
        << name;
    ++whole;
  }
  EXPECT_GE(whole, 1u);
}

void expect_report(const StepReport& report, const Json& expected) {
  ASSERT_FALSE(report.bad);
  EXPECT_NEAR(report.loss, expected["loss"].get<double>(), 1e-5 * expected["loss"].get<double>());
  const auto aux = expected["aux_sum"].get<double>();
  EXPECT_NEAR(report.aux_loss, aux, 1e-5 * aux);
  EXPECT_EQ(report.dropped, expected["n_dropped"].get<std::vector<int64_t>>());
}

TEST(TrainGolden, Stage2) {
  for (const GoldenFamily& family : kFamilies) {
    SCOPED_TRACE(family.name);
    GoldenRun run(family, default_settings(2), "ckpt_dense", at_rate(0));
    const Json expected = read_json(golden(file(family, "stage2.json")));
    const auto loss = expected["loss"].get<double>();
    EXPECT_NEAR(run.trainer->step().loss, loss, 1e-5 * loss);
    expect_gradients(run, family, expected["grad_norms"], "stage2_grad");
    EXPECT_TRUE(run.dumped("labels").equal(load_golden(file(family, "merged_labels.npy"))));
  }
}

// `name`: "main", or "drop" with little room, or "noise" with recorded noise.
void expect_stage3(const GoldenFamily& family, const std::string& name) {
  SCOPED_TRACE(std::string(family.name) + " " + name);
  const std::string prefix = name == "main" ? "stage3" : "stage3_" + name;
  const Json expected = read_json(golden(file(family, "stage3.json")));
  TrainSettings settings = default_settings(kFinetune);
  if (name == "drop") settings.moe.capacity_factor = expected[name]["capacity_factor"].get<double>();
  TrainerOptions options = at_rate(0);
  if (name == "noise") options.router_noise = load_golden(file(family, "stage3_noise_gumbel.npy"));
  GoldenRun run(family, settings, "ckpt", options);

  std::vector<std::string> trainable = expected["trainable_official"];
  std::sort(trainable.begin(), trainable.end());
  EXPECT_EQ(run.trained_names(), trainable);
  expect_report(run.trainer->step(), expected[name]);
  expect_gradients(run, family, expected[name]["grad_norms"], prefix + "_grad");

  EXPECT_LE(relative_difference(run.dumped("combine"), load_golden(file(family, prefix + "_combine.npy"))),
            1e-4);
  if (name != "noise") {
    EXPECT_TRUE(run.dumped("slot").equal(load_golden(file(family, prefix + "_slot.npy"))));
  }
  if (name == "main") {
    EXPECT_LE(relative_difference(run.dumped("router_logits"),
                                  load_golden(file(family, "stage3_router_logits.npy"))),
              1e-4);
  }
}

TEST(TrainGolden, Stage3) {
  for (const GoldenFamily& family : kFamilies) expect_stage3(family, "main");
}

TEST(TrainGolden, Stage3WithLittleRoom) {
  for (const GoldenFamily& family : kFamilies) expect_stage3(family, "drop");
}

TEST(TrainGolden, Stage3WithRecordedNoise) {
  for (const GoldenFamily& family : kFamilies) expect_stage3(family, "noise");
}

TEST(TrainGolden, CopiedExperts) {
  for (const GoldenFamily& family : kFamilies) {
    SCOPED_TRACE(family.name);
    TrainSettings settings = default_settings(3);
    settings.init_tensors = golden(file(family, "upcycle_gate"));
    GoldenRun run(family, settings, "ckpt_dense", at_rate(0));
    expect_report(run.trainer->step(), read_json(golden(file(family, "stage3.json")))["upcycled_init"]);
  }
}

struct AdamWRun {
  const char* name;
  Schedule schedule;
  double max_grad_norm = 0;
  bool experts_only = false;
};

void expect_run(const GoldenFamily& family, const AdamWRun& adamw) {
  SCOPED_TRACE(family.name);
  GoldenFamily trained = family;
  TrainSettings settings = default_settings(kFinetune);
  if (adamw.experts_only) {
    trained.train_modules = {"deepspeed_moe"};
    settings.freeze_mm_mlp_adapter = true;
  }
  GoldenRun run(trained, settings, "ckpt",
                {.schedule = adamw.schedule, .max_grad_norm = adamw.max_grad_norm});
  const Json steps = read_json(golden(file(family, "adamw8.json"))).at(adamw.name);
  ASSERT_EQ(steps.size(), 9u);  // the last is a forward pass of the weights after eight steps
  for (size_t step = 0; step < steps.size(); ++step) {
    // After eight steps.
    if (step == 8 && std::string(adamw.name) == "official_trainable") {
      const std::string folder = "official_trainable_after8";
      for (const NamedParameter& parameter : run.trainer->optimiser().parameters()) {
        const std::string name = family_by_name(run.loaded.model->config().family).file_name(parameter.name);
        const std::string path = file(family, folder + "/" + name + ".npy");
        if (!fs::exists(golden(path))) continue;
        EXPECT_LE(relative_difference(parameter.tensor.detach(), load_golden(path)), 1e-3) << name;
      }
    }
    const StepReport report = run.trainer->step();
    const auto loss = steps[step]["loss"].get<double>(), aux = steps[step]["aux_sum"].get<double>();
    EXPECT_NEAR(report.loss, loss, 1e-5 * loss) << step;
    EXPECT_NEAR(report.aux_loss, aux, 1e-5 * aux) << step;
    if (step == 8) continue;
    const auto norm = steps[step]["grad_norm_before_clip"].get<double>();
    EXPECT_NEAR(report.grad_norm, norm, 1e-4 * norm) << step;
    EXPECT_NEAR(report.learning_rate, steps[step]["lr"].get<double>(), 1e-15) << step;
  }
}

TEST(TrainGolden, EightStepsAtAConstantRate) {
  for (const GoldenFamily& family : kFamilies)
    expect_run(family, {.name = "official_trainable", .schedule = at_rate(1e-3).schedule});
}

TEST(TrainGolden, EightStepsOfTheExpertsAlone) {
  for (const GoldenFamily& family : kFamilies)
    expect_run(family, {.name = "moe_only", .schedule = at_rate(1e-3).schedule, .experts_only = true});
}

TEST(TrainGolden, EightStepsOfTheScheduleWithClipping) {
  for (const GoldenFamily& family : kFamilies) {
    expect_run(family,
               {.name = "official_schedule",
                .schedule = {.kind = ScheduleKind::Cosine, .peak = 1e-3, .warmup_steps = 1, .total_steps = 8},
                .max_grad_norm = 1.0});
  }
}

}  // namespace
}  // namespace moellava
