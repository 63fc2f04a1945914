// Training computes wherever the weights are, and checkpoints go from one device to another.
#include <unistd.h>

#include <filesystem>

#include "nn/precision.hpp"
#include "tests/pretend_device.hpp"
#include "tests/train_tiny_bench.hpp"
#include "train/checkpoint.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::Bench;
using testing::kPretendDevice;

Bench bench_on(at::Device device, int stage) {
  return {stage,
          {.schedule = {.kind = ScheduleKind::Cosine, .peak = 0.01, .warmup_steps = 1, .total_steps = 6},
           .adamw = {.weight_decay = 0.1},
           .max_grad_norm = 0.5,
           .aux_loss_coef = 0.01,
           .z_loss_coef = 0.001,
           .gumbel_seed = 5,
           .recompute = true},
          /*samples=*/12,
          /*micro_batch=*/2,
          /*accumulation=*/2,
          device};
}

void expect_close(const Bench& a, const Bench& b) {
  const auto left = a.snapshot(), right = b.snapshot();
  for (size_t i = 0; i < left.size(); ++i) {
    SCOPED_TRACE(left[i].first);
    EXPECT_TENSORS_CLOSE(left[i].second.cpu(), right[i].second.cpu());
  }
}

TEST(Device, TrainsThereWithTheSameNumbers) {
  for (int stage : {1, 2, 3}) {
    SCOPED_TRACE(stage);
    const Bench here = bench_on(at::kCPU, stage), there = bench_on(kPretendDevice, stage);
    for (int step = 0; step < 3; ++step) {
      const StepReport expected = here.trainer->step(), found = there.trainer->step();
      EXPECT_NEAR(found.loss, expected.loss, 1e-5 * expected.loss);
      EXPECT_NEAR(found.aux_loss, expected.aux_loss, 1e-5);
      EXPECT_NEAR(found.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm);
      EXPECT_EQ(found.expert_choices, expected.expert_choices);
    }
    expect_close(there, here);
  }
}

TEST(Device, RoundsFactorsThereToo) {
  const Bfloat16Products products(true);
  const Bench here = bench_on(at::kCPU, 3), there = bench_on(kPretendDevice, 3);
  for (int step = 0; step < 3; ++step) {
    const StepReport expected = here.trainer->step(), found = there.trainer->step();
    EXPECT_NEAR(found.loss, expected.loss, 1e-4 * expected.loss);
    EXPECT_NEAR(found.grad_norm, expected.grad_norm, 1e-3 * expected.grad_norm);
  }
}

TEST(Device, CheckpointsGoFromOneToAnother) {
  const fs::path folder = fs::temp_directory_path() / ("device_test." + std::to_string(getpid()));
  fs::create_directories(folder);
  const Bench there = bench_on(kPretendDevice, 3);
  there.trainer->step();
  save_checkpoint(folder, {.step = 1, .updates = 1, .settings = Json::object(), .data_hash = "h"},
                  there.trainer->optimiser(), /*keep=*/1);
  for (const at::Device device : {at::Device(at::kCPU), kPretendDevice}) {
    const Bench again = bench_on(device, 3);
    restore_checkpoint(*newest_checkpoint(folder), again.trainer->optimiser());
    again.trainer->set_steps_done(1);
    expect_close(again, there);
  }
  const Bench on_processor = bench_on(at::kCPU, 3);
  restore_checkpoint(*newest_checkpoint(folder), on_processor.trainer->optimiser());
  on_processor.trainer->set_steps_done(1);
  on_processor.trainer->step();
  there.trainer->step();
  expect_close(on_processor, there);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace moellava
