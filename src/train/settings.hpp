// What a training run is asked to do: the flags of `moe-llava train`, checked and with the stage's defaults
// filled in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "image/image.hpp"
#include "model/adapter.hpp"
#include "train/schedule.hpp"

namespace moellava {

// How the second expert of a token is found in training: the true second choice, or drawn as in the original.
enum class RouterSampling { Argmax, Gumbel };

struct MoeSettings {
  // What makes a dense model sparse: stage 3 only.
  bool enable = true;                      // false: the dense model, trained by the same rule
  std::vector<int64_t> num_experts = {4};  // of every MoE layer, or one number for each
  std::string mode = "sparse";
  std::vector<int64_t> layers;  // overrides `mode` when not empty
  bool use_residual = false;

  // How the experts work: stage 3, where default_settings fills them in, and finetune, where one that is not
  // given stays as the model has it.
  std::optional<int64_t> top_k_experts;
  std::optional<double> capacity_factor;
  std::optional<double> eval_capacity_factor;
  std::optional<int64_t> min_capacity;
  std::optional<double> aux_loss_coef;
  bool faithful_aux = false;  // the balance loss is a constant without gradient, as in the original recipe
  double z_loss_coef = 0;
  int64_t ep_size = 1;  // processes that share the experts of every layer
  RouterSampling sampling = RouterSampling::Argmax;
  std::filesystem::path router_noise;  // .npy [L, rows, E] that decides the second expert of every step
  // What is trained: what contains one of these, in canonical names or in the family's own.
  std::vector<std::string> train_modules = {"gate_proj", "up_proj", "down_proj", "wg"};
};

// Low-rank adapters instead of the weights themselves (LoRA).
struct LoraSettings {
  bool enable = false;
  std::filesystem::path weight_path = {};  // an adapter's folder to go on from, instead of new ones
  // Not given: AdapterSettings' own.
  std::optional<int64_t> r = {};
  std::optional<double> alpha = {};
  std::optional<double> dropout = {};
  // Only the feed-forwards have adapters, or all linear layers of the decoder but the lm_head. Not given: the
  // former in a mixture of experts, as in the original.
  std::optional<bool> only_ffn = {};
};

// Of new adapters.
AdapterSettings adapter_settings(const LoraSettings& lora);

// What becomes of a step whose loss or gradient is not finite: the run ends, the step is left out, or the
// weights go back to the newest checkpoint and the run goes on with the next step.
enum class OnNonFinite { Stop, Skip, Rollback };
// What carries values between processes: NCCL those on GPUs, MPI the others, or MPI all, through the
// processor's memory.
enum class DdpBackend { ByDevice, Nccl, Mpi };

// Stages 1, 2 and 3 have their numbers.
constexpr int kFinetune = 4;
std::string stage_name(int stage);  // "1", "2", "3" or "finetune"

struct TrainSettings {
  // Model
  int stage = 1;
  std::filesystem::path model_name_or_path;
  std::filesystem::path vision_tower;
  std::filesystem::path pretrain_mm_mlp_adapter;  // the projector's weights, when not the model's own
  bool freeze_mm_mlp_adapter = false;
  std::filesystem::path init_tensors;    // folder of NAME.npy that replace parameters of the model
  std::string projector = "mlp2x_gelu";  // of a model that gains sight

  // Data
  std::vector<std::filesystem::path> data_path;
  std::filesystem::path image_folder;
  std::string version;  // conversation style, "" for the model's own
  int64_t model_max_length = 2048;
  AspectRatio aspect_ratio = AspectRatio::Pad;
  bool group_by_modality_length = false;
  std::optional<bool> group_by_length;  // batches of similar length; not given: unless grouped by modality
  int64_t skip_bad_samples = 0;         // this many are left out, one more stops the run
  std::string feature_cache;            // folder of the pictures' features; "": in the cache, "none": nowhere

  // Optimisation
  double num_train_epochs = 1;
  int64_t max_steps = 0;  // 0: as many as the epochs need
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;  // in each process
  int64_t global_batch_size = 0;            // of a step in all processes; 0: what the others multiply to
  int64_t processes = 1;
  double learning_rate = 2e-5;
  double mm_projector_lr = 0;  // of the projector; 0: as the others
  double warmup_ratio = 0.03;
  ScheduleKind lr_scheduler = ScheduleKind::Cosine;
  double weight_decay = 0;
  double max_grad_norm = 0;  // 0: no clipping
  bool bf16 = false;         // matrix products in bfloat16; weights, gradients and optimiser stay float32
  uint64_t seed = 42;
  MoeSettings moe;    // stage 3 and finetune only
  LoraSettings lora;  // not in stage 1

  // Run: nothing below changes what is computed
  std::filesystem::path output_dir;
  int64_t save_steps = 500;
  int64_t save_total_limit = 2;
  int64_t logging_steps = 1;
  std::filesystem::path dump_step;  // folder for the intermediate results of step 1
  OnNonFinite on_nonfinite = OnNonFinite::Stop;
  int threads = 0;                      // 0: one a core
  std::string device = "auto";          // as device_by_name takes it
  bool tensorboard = true;              // --report_to
  bool dry_run = false;                 // nothing is trained or written: the run is planned
  bool gradient_checkpointing = false;  // layers are computed again in the backward pass, not kept
  bool overwrite_output_dir = false;
  std::string
      resume_from_checkpoint;  // a checkpoint's folder, "True", "False"; "": the newest if there is one
  int64_t ddp_timeout = 1800;  // seconds that processes wait for one that lives
  DdpBackend ddp_backend = DdpBackend::ByDevice;
};

// The stage's own defaults (spec of the original recipe): learning rate, batch, style, cropping.
TrainSettings default_settings(int stage);

// Tells how many processes share a step: sets gradient_accumulation_steps so that they come to
// global_batch_size. Throws Usage when they cannot.
void share_out_batch(TrainSettings& settings, int64_t processes);

// Everything that decides the resulting weights, by flag name: kept in checkpoints, compared on resume. Not
// how many processes there are, but the samples of a step in all of them (global_batch_size).
Json settings_json(const TrainSettings& settings);

// "learning_rate: 0.001, now 0.002" for every field that differs.
std::vector<std::string> settings_differences(const Json& before, const Json& now);

}  // namespace moellava
