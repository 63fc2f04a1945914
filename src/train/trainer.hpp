// One optimiser step after another over a dataset. B samples, T positions, N visual tokens, L MoE layers, E
// experts.
#pragma once

#include <string>
#include <vector>

#include "model/moe_llava.hpp"
#include "train/adamw.hpp"
#include "train/batching.hpp"
#include "train/features.hpp"
#include "train/schedule.hpp"

namespace moellava {

struct TrainerOptions {
  Schedule schedule;
  AdamWOptions adamw;
  double max_grad_norm = 0;      // 0: no clipping
  double aux_loss_coef = 0;      // of the balance losses' sum
  bool balance_gradient = true;  // false: the balance loss is only added to the value
};

// What one step did; losses are means over its micro-batches.
struct StepReport {
  int64_t step = 0;  // counted from 1
  double loss = 0;   // cross entropy + aux_loss_coef * aux_loss
  double aux_loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;  // before clipping
  int64_t tokens = 0;    // positions that are not padding
  // Choices of the router per layer and expert before dropping, padding included; and how many were dropped.
  std::vector<std::vector<int64_t>> expert_choices;  // [L][E]
  std::vector<int64_t> dropped;                      // [L]
};

// Samples that go through the model together.
struct MicroBatch {
  std::vector<SampleIds> samples;
  std::vector<size_t> pictures;
};

class Trainer {
 public:
  // `parameters` are the trained ones (select_trainable). Everything referred to must outlive the trainer.
  Trainer(MoeLlava& model, const Dataset& dataset, PictureFeatures& features, BatchPlan plan,
          std::vector<NamedParameter> parameters, const TrainerOptions& options);

  // The next step. Throws BadData naming the step and its samples when the loss or a gradient is not finite;
  // the parameters are then as before.
  StepReport step();

  AdamW& optimiser() { return optimiser_; }
  int64_t steps_done() const { return optimiser_.steps_done(); }

 private:
  MicroBatch load(const Batch& batch) const;
  void expect_pictures(int64_t step);
  // The loss of a micro-batch, [], added to the report.
  at::Tensor forward(const MicroBatch& batch, StepReport& report) const;
  [[noreturn]] void fail(const Batch& batch, const std::string& what, const std::string& found) const;

  MoeLlava& model_;
  const Dataset& dataset_;
  PictureFeatures& features_;
  BatchPlan plan_;
  AdamW optimiser_;
  TrainerOptions options_;
};

}  // namespace moellava
