// One optimiser step after another over a dataset, in one process or in many. B samples, T positions, N
// visual tokens, L MoE layers, E experts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/moe_llava.hpp"
#include "train/adamw.hpp"
#include "train/batching.hpp"
#include "train/data_parallel.hpp"
#include "train/features.hpp"
#include "train/loss.hpp"
#include "train/schedule.hpp"
#include "train/step_report.hpp"

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
  bool recompute = false;  // the decoder's layers are computed again in the backward pass, not kept
  std::shared_ptr<Dropout> dropout = nullptr;  // of the model's adapters
  uint64_t dropout_seed = 0;                   // of theirs and of the model's own
  // Where values lie on their way between processes: of the processor (MPI), or of the model's GPU (NCCL).
  at::Device memory = at::kCPU;
};

// Experts that not every process has (train/expert_parallel.hpp).
struct ExpertSpread {
  Communicator* group = nullptr;  // the processes that have all together; nullptr: every one has all
  Communicator* same = nullptr;   // the processes that have the same as this one
  std::vector<std::string> all_names = {};  // of the trained parameters of the whole model, in its order
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
  // `parameters` are the trained ones (select_trainable); each of `processes` computes its share of every
  // step, or this one all of it. Everything referred to must outlive the trainer.
  Trainer(MoeLlava& model, const Dataset& dataset, PictureFeatures& features, BatchPlan plan,
          std::vector<NamedParameter> parameters, const TrainerOptions& options,
          Communicator* processes = nullptr, const ExpertSpread& experts = {});

  // The next step. When a loss or a gradient is not finite, or a micro-batch has no token to train on, the
  // report says so and nothing else happens: the step counts as done, but not as an update of the optimiser.
  // All processes return the same.
  StepReport step();

  const std::vector<NamedParameter>& parameters() const { return parallel_.parameters(); }
  DataParallel& parallel() { return parallel_; }
  // Of the parameters that this process owns: all of them when it is the only one.
  AdamW& optimiser() { return optimiser_; }
  int64_t steps_done() const { return steps_done_; }
  void set_steps_done(int64_t steps) { steps_done_ = steps; }

 private:
  // What this process does of a step. The reports of all micro-batches, up to the first bad one of each
  // process.
  std::vector<StepReport> compute_gradients(const std::vector<Batch>& batches);
  StepReport compute(const Batch& batch, double weight, bool first, bool last);
  Share own_share(size_t micro_batches) const;
  size_t accumulation() const;  // micro-batches of a step in each process
  MicroBatch load(const Batch& batch) const;
  void expect_pictures(int64_t step);
  ForwardPass forward(const MicroBatch& batch) const;
  DecoderRun decoder_run(const MicroBatch& batch, const Spliced& spliced) const;
  at::Tensor router_noise(const Batch& samples, int64_t positions) const;
  uint64_t dropout_key(const Batch& samples) const;
  BadStep bad_loss(const MicroBatch& batch, const ForwardPass& pass) const;
  BadStep bad_gradient(const std::vector<Batch>& batches, const std::string& tensor) const;
  std::vector<std::string> ids(const Batch& samples) const;
  StepReport without_update(StepReport report);

  MoeLlava& model_;
  const Dataset& dataset_;
  PictureFeatures& features_;
  BatchPlan plan_;
  SingleProcess alone_;
  ExpertSpread experts_;
  std::optional<TensorCommunicator> expert_processes_;  // when experts are spread
  DataParallel parallel_;
  AdamW optimiser_;
  TrainerOptions options_;
  int64_t steps_done_ = 0;
};

}  // namespace moellava
