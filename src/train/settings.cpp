#include "train/settings.hpp"

#include <set>

#include "base/error.hpp"

namespace moellava {

TrainSettings default_settings(int stage) {
  TrainSettings settings;
  settings.stage = stage;
  if (stage == 1) {
    settings.learning_rate = 1e-3;
    settings.per_device_train_batch_size = 32;
    settings.version = "plain";
    settings.aspect_ratio = AspectRatio::Square;
  }
  return settings;
}

Json settings_json(const TrainSettings& settings) {
  std::vector<std::string> data;
  for (const auto& path : settings.data_path) data.push_back(path.string());
  Json json = {{"stage", settings.stage},
               {"model_name_or_path", settings.model_name_or_path.string()},
               {"vision_tower", settings.vision_tower.string()},
               {"data_path", data},
               {"image_folder", settings.image_folder.string()},
               {"version", settings.version},
               {"model_max_length", settings.model_max_length},
               {"image_aspect_ratio", settings.aspect_ratio == AspectRatio::Pad ? "pad" : "square"},
               {"group_by_modality_length", settings.group_by_modality_length},
               {"num_train_epochs", settings.num_train_epochs},
               {"max_steps", settings.max_steps},
               {"per_device_train_batch_size", settings.per_device_train_batch_size},
               {"gradient_accumulation_steps", settings.gradient_accumulation_steps},
               {"learning_rate", settings.learning_rate},
               {"mm_projector_lr", settings.mm_projector_lr},
               {"warmup_ratio", settings.warmup_ratio},
               {"lr_scheduler_type", schedule_name(settings.lr_scheduler)},
               {"bf16", settings.bf16},
               {"weight_decay", settings.weight_decay},
               {"max_grad_norm", settings.max_grad_norm},
               {"seed", settings.seed}};
  if (!settings.pretrain_mm_mlp_adapter.empty())
    json["pretrain_mm_mlp_adapter"] = settings.pretrain_mm_mlp_adapter.string();
  if (settings.stage == 3) {
    const MoeSettings& moe = settings.moe;
    json.update({{"moe_enable", moe.enable},
                 {"num_experts", moe.num_experts},
                 {"top_k_experts", moe.top_k_experts},
                 {"capacity_factor", moe.capacity_factor},
                 {"eval_capacity_factor", moe.eval_capacity_factor},
                 {"min_capacity", moe.min_capacity},
                 {"moe_mode", moe.mode},
                 {"moe_layers_idx", moe.layers},
                 {"router_aux_loss_coef", moe.aux_loss_coef},
                 {"faithful_aux", moe.faithful_aux},
                 {"use_residual", moe.use_residual},
                 {"train_modules", moe.train_modules}});
  }
  return json;
}

std::vector<std::string> settings_differences(const Json& before, const Json& now) {
  std::set<std::string> fields;
  for (const auto& item : before.items()) fields.insert(item.key());
  for (const auto& item : now.items()) fields.insert(item.key());
  auto text = [](const Json& json, const std::string& field) {
    return json.contains(field) ? printable(json[field].dump()) : std::string("nothing");
  };
  std::vector<std::string> differences;
  for (const std::string& field : fields) {
    const std::string was = text(before, field);
    const std::string is = text(now, field);
    if (was != is) differences.push_back(field + ": " + was + ", now " + is);
  }
  return differences;
}

}  // namespace moellava
