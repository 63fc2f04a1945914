// One optimiser step after another over a dataset. B samples, T positions, N visual tokens, L MoE layers, E
// experts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/moe_llava.hpp"
#include "train/adamw.hpp"
#include "train/batching.hpp"
#include "train/features.hpp"
#include "train/loss.hpp"
#include "train/schedule.hpp"

namespace moellava {

struct TrainerOptions {
  Schedule schedule = {};
  AdamWOptions adamw = {};
  double max_grad_norm = 0;                // 0: no clipping
  double aux_loss_coef = 0;                // of the balance losses' sum
  bool balance_gradient = true;            // false: the balance loss is only added to the value
  double z_loss_coef = 0;                  // of the router z-losses' sum
  std::filesystem::path dump_folder = {};  // gets the intermediate results of step 1; "": nothing is written
  // How a token's second expert is found when it is not the second choice: recorded noise [L, rows, E] for
  // every micro-batch, or drawn from this seed for every sample of every step anew.
  at::Tensor router_noise = {};
  std::optional<uint64_t> gumbel_seed = {};
};

// Why a step was not taken.
struct BadStep {
  std::string what;                  // "the loss is not finite"
  std::string tensor;                // the first one that is not, by name
  std::vector<std::string> samples;  // ids
};

// What one step did; losses are means over its micro-batches.
struct StepReport {
  int64_t step = 0;  // counted from 1
  double loss = 0;   // cross entropy + aux_loss_coef * aux_loss + z_loss_coef * z_loss
  double aux_loss = 0;
  double z_loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;  // before clipping
  int64_t tokens = 0;    // positions that are not padding
  // Choices of the router per layer and expert before dropping, padding included; and how many were dropped.
  std::vector<std::vector<int64_t>> expert_choices;  // [L][E]
  std::vector<int64_t> dropped;                      // [L]
  // Set: parameters and optimiser are as before, and the numbers above mean nothing.
  std::optional<BadStep> bad;
};

// Samples that go through the model together.
struct MicroBatch {
  Batch numbers;  // in the dataset
  std::vector<SampleIds> samples;
  std::vector<size_t> pictures;
};

struct ForwardPass {
  at::Tensor features;  // [pictures, N, mm_hidden_size] or undefined
  Spliced spliced;
  DecoderRun run;
  DecoderOutput output;
  TargetRows targets;
  at::Tensor loss;  // []
};

class Trainer {
 public:
  // `parameters` are the trained ones (select_trainable). Everything referred to must outlive the trainer.
  Trainer(MoeLlava& model, const Dataset& dataset, PictureFeatures& features, BatchPlan plan,
          std::vector<NamedParameter> parameters, const TrainerOptions& options);

  // The next step. When a loss or a gradient is not finite, or a micro-batch has no token to train on, the
  // report says so and nothing else happens: the step counts as done, but not as an update of the optimiser.
  StepReport step();

  AdamW& optimiser() { return optimiser_; }
  int64_t steps_done() const { return steps_done_; }
  void set_steps_done(int64_t steps) { steps_done_ = steps; }

 private:
  MicroBatch load(const Batch& batch) const;
  void expect_pictures(int64_t step);
  ForwardPass forward(const MicroBatch& batch) const;
  DecoderRun decoder_run(const MicroBatch& batch, const Spliced& spliced) const;
  at::Tensor router_noise(const Batch& samples, int64_t positions) const;
  BadStep bad_loss(const MicroBatch& batch, const ForwardPass& pass) const;
  BadStep bad_gradient(const std::vector<Batch>& batches, const std::string& tensor) const;
  std::vector<std::string> ids(const Batch& samples) const;
  StepReport without_update(StepReport report, BadStep bad);

  MoeLlava& model_;
  const Dataset& dataset_;
  PictureFeatures& features_;
  BatchPlan plan_;
  AdamW optimiser_;
  TrainerOptions options_;
  int64_t steps_done_ = 0;
};

}  // namespace moellava
