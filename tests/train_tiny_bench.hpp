// A trainer of a tiny model, ready to step.
#pragma once

#include "tests/train_tiny_model.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava::testing {

// A trainer and everything it refers to.
struct Bench {
  std::unique_ptr<MoeLlava> model;
  TinyDataset dataset;
  TinyFeatures features;
  std::unique_ptr<Trainer> trainer;

  Bench(int stage, double peak, size_t samples = 12, int64_t micro_batch = 4, int64_t accumulation = 1)
      : Bench(stage,
              TrainerOptions{.schedule = {.kind = ScheduleKind::Constant, .peak = peak, .total_steps = 100},
                             .aux_loss_coef = 0.01},
              samples, micro_batch, accumulation) {}

  Bench(int stage, const TrainerOptions& options, size_t samples = 12, int64_t micro_batch = 4,
        int64_t accumulation = 1, at::Device device = at::kCPU)
      : model(tiny_model(/*sparse=*/stage == 3)),
        dataset(tiny_dataset(samples)),
        features(tiny_features(dataset)) {
    model->to(device);
    std::vector<int64_t> lengths;
    for (const Sample& sample : dataset.samples) lengths.push_back(sample_length(sample, 4));
    trainer = std::make_unique<Trainer>(*model, dataset, features,
                                        BatchPlan(42, lengths, micro_batch, accumulation),
                                        select_trainable(*model, default_settings(stage)), options);
  }

  std::vector<std::pair<std::string, at::Tensor>> snapshot() const {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    model->visit([&](const std::string& name, at::Tensor& tensor) {
      tensors.emplace_back(name, tensor.detach().clone());
    });
    return tensors;
  }
};

}  // namespace moellava::testing
