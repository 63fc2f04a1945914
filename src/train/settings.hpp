// What a training run is asked to do: the flags of `moe-llava train`, checked and with the stage's defaults
// filled in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "image/image.hpp"
#include "train/schedule.hpp"

namespace moellava {

struct MoeSettings {
  bool enable = true;  // false at stage 3: the dense model, trained by the same rule
  int64_t num_experts = 4;
  int64_t top_k_experts = 2;
  double capacity_factor = 1.5;
  double eval_capacity_factor = 2.0;
  int64_t min_capacity = 0;
  std::string mode = "sparse";
  std::vector<int64_t> layers;  // overrides `mode` when not empty
  double aux_loss_coef = 0.01;
  bool faithful_aux = false;  // the balance loss is a constant without gradient, as in the original recipe
  bool use_residual = false;
  // Stage 3 trains what contains one of these, in canonical names or in the family's own.
  std::vector<std::string> train_modules = {"gate_proj", "up_proj", "down_proj", "wg"};
};

struct TrainSettings {
  // Model
  int stage = 1;
  std::filesystem::path model_name_or_path;
  std::filesystem::path vision_tower;
  std::filesystem::path pretrain_mm_mlp_adapter;  // the projector's weights, when not the model's own

  // Data
  std::vector<std::filesystem::path> data_path;
  std::filesystem::path image_folder;
  std::string version;  // conversation style, "" for the model's own
  int64_t model_max_length = 2048;
  AspectRatio aspect_ratio = AspectRatio::Pad;
  bool group_by_modality_length = false;
  int64_t skip_bad_samples = 0;  // this many are left out, one more stops the run
  std::string feature_cache;     // folder of the pictures' features; "": in the cache, "none": nowhere

  // Optimisation
  double num_train_epochs = 1;
  int64_t max_steps = 0;  // 0: as many as the epochs need
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  double learning_rate = 2e-5;
  double mm_projector_lr = 0;  // of the projector; 0: as the others
  double warmup_ratio = 0.03;
  ScheduleKind lr_scheduler = ScheduleKind::Cosine;
  double weight_decay = 0;
  double max_grad_norm = 0;  // 0: no clipping
  bool bf16 = false;         // matrix products in bfloat16; weights, gradients and optimiser stay float32
  uint64_t seed = 42;
  MoeSettings moe;  // stage 3 only

  // Run: nothing below changes what is computed
  std::filesystem::path output_dir;
  int64_t save_steps = 500;
  int64_t save_total_limit = 2;
  int64_t logging_steps = 1;
  bool overwrite_output_dir = false;
};

// The stage's own defaults (spec of the original recipe): learning rate, batch, style, cropping.
TrainSettings default_settings(int stage);

// Everything that decides the resulting weights, by flag name: kept in checkpoints, compared on resume.
Json settings_json(const TrainSettings& settings);

// "learning_rate: 0.001, now 0.002" for every field that differs.
std::vector<std::string> settings_differences(const Json& before, const Json& now);

}  // namespace moellava
