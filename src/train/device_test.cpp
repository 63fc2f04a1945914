// Training computes wherever the weights are, and checkpoints go from one device to another.
#include <unistd.h>

#include <filesystem>

#include "nn/precision.hpp"
#include "tests/pretend_device.hpp"
#include "tests/train_tiny_model.hpp"
#include "train/checkpoint.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::kPretendDevice;

struct Bench {
  std::unique_ptr<MoeLlava> model;
  testing::TinyDataset dataset = testing::tiny_dataset(12);
  testing::TinyFeatures features = testing::tiny_features(dataset);
  std::unique_ptr<Trainer> trainer;

  Bench(int stage, at::Device device) : model(testing::tiny_model(/*sparse=*/stage == 3)) {
    model->to(device);
    std::vector<int64_t> lengths;
    for (const Sample& sample : dataset.samples) lengths.push_back(sample_length(sample, 4));
    const TrainerOptions options{
        .schedule = {.kind = ScheduleKind::Cosine, .peak = 0.01, .warmup_steps = 1, .total_steps = 6},
        .adamw = {.weight_decay = 0.1},
        .max_grad_norm = 0.5,
        .aux_loss_coef = 0.01,
        .z_loss_coef = 0.001,
        .gumbel_seed = 5,
        .recompute = true};
    trainer = std::make_unique<Trainer>(*model, dataset, features, BatchPlan(42, lengths, 2, 2),
                                        select_trainable(*model, default_settings(stage)), options);
  }

  void expect_close(Bench& other) {
    std::vector<at::Tensor> others;
    other.model->visit(
        [&](const std::string&, at::Tensor& tensor) { others.push_back(tensor.detach().cpu()); });
    size_t i = 0;
    model->visit([&](const std::string&, at::Tensor& tensor) {
      EXPECT_TENSORS_CLOSE(tensor.detach().cpu(), others[i]);
      ++i;
    });
  }
};

TEST(Device, TrainsThereWithTheSameNumbers) {
  for (int stage : {1, 2, 3}) {
    SCOPED_TRACE(stage);
    Bench here(stage, at::kCPU), there(stage, kPretendDevice);
    for (int step = 0; step < 3; ++step) {
      const StepReport expected = here.trainer->step(), found = there.trainer->step();
      EXPECT_NEAR(found.loss, expected.loss, 1e-5 * expected.loss);
      EXPECT_NEAR(found.aux_loss, expected.aux_loss, 1e-5);
      EXPECT_NEAR(found.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm);
      EXPECT_EQ(found.expert_choices, expected.expert_choices);
    }
    there.expect_close(here);
  }
}

TEST(Device, RoundsFactorsThereToo) {
  const Bfloat16Products products(true);
  Bench here(3, at::kCPU), there(3, kPretendDevice);
  for (int step = 0; step < 3; ++step) {
    const StepReport expected = here.trainer->step(), found = there.trainer->step();
    EXPECT_NEAR(found.loss, expected.loss, 1e-4 * expected.loss);
    EXPECT_NEAR(found.grad_norm, expected.grad_norm, 1e-3 * expected.grad_norm);
  }
}

TEST(Device, CheckpointsGoFromOneToAnother) {
  const fs::path folder = fs::temp_directory_path() / ("device_test." + std::to_string(getpid()));
  fs::create_directories(folder);
  Bench there(3, kPretendDevice), here(3, at::kCPU);
  there.trainer->step();
  save_checkpoint(folder, {.step = 1, .updates = 1, .settings = Json::object(), .data_hash = "h"},
                  there.trainer->optimiser(), /*keep=*/1);
  for (const at::Device device : {at::Device(at::kCPU), kPretendDevice}) {
    Bench again(3, device);
    restore_checkpoint(*newest_checkpoint(folder), again.trainer->optimiser());
    again.trainer->set_steps_done(1);
    again.expect_close(there);
  }
  Bench on_processor(3, at::kCPU);
  restore_checkpoint(*newest_checkpoint(folder), on_processor.trainer->optimiser());
  on_processor.trainer->set_steps_done(1);
  on_processor.trainer->step();
  there.trainer->step();
  on_processor.expect_close(there);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace moellava
