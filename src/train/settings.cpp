#include "train/settings.hpp"

#include <set>

#include "base/error.hpp"

namespace moellava {

namespace {

template <typename Value>
Json json_of(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json moe_json(const MoeSettings& moe, int stage) {
  Json json = {{"top_k_experts", json_of(moe.top_k_experts)},
               {"capacity_factor", json_of(moe.capacity_factor)},
               {"eval_capacity_factor", json_of(moe.eval_capacity_factor)},
               {"min_capacity", json_of(moe.min_capacity)},
               {"router_aux_loss_coef", json_of(moe.aux_loss_coef)},
               {"faithful_aux", moe.faithful_aux},
               {"router_z_loss_coef", moe.z_loss_coef},
               {"router_sampling", moe.sampling == RouterSampling::Gumbel ? "gumbel" : "argmax"},
               {"router_noise", moe.router_noise.string()},
               {"train_modules", moe.train_modules}};
  if (stage == 3) {
    json.update({{"moe_enable", moe.enable},
                 {"num_experts", moe.num_experts},
                 {"moe_mode", moe.mode},
                 {"moe_layers_idx", moe.layers},
                 {"use_residual", moe.use_residual}});
  }
  return json;
}

Json lora_json(const LoraSettings& lora) {
  const AdapterSettings adapters = adapter_settings(lora);
  if (!lora.weight_path.empty()) {
    return {{"lora_enable", true},
            {"lora_weight_path", lora.weight_path.string()},
            {"lora_dropout", json_of(lora.dropout)}};
  }
  return {{"lora_enable", true},
          {"lora_r", adapters.rank},
          {"lora_alpha", adapters.alpha},
          {"lora_dropout", adapters.dropout},
          {"only_lora_ffn", json_of(lora.only_ffn)}};
}

}  // namespace

std::string stage_name(int stage) {
  return stage == kFinetune ? "finetune" : std::to_string(stage);
}

AdapterSettings adapter_settings(const LoraSettings& lora) {
  AdapterSettings settings;
  settings.rank = lora.r.value_or(settings.rank);
  settings.alpha = lora.alpha.value_or(settings.alpha);
  settings.dropout = lora.dropout.value_or(settings.dropout);
  return settings;
}

TrainSettings default_settings(int stage) {
  TrainSettings settings;
  settings.stage = stage;
  if (stage == 1) {
    settings.learning_rate = 1e-3;
    settings.per_device_train_batch_size = 32;
    settings.version = "plain";
    settings.aspect_ratio = AspectRatio::Square;
  }
  if (stage == 3) {
    settings.moe.top_k_experts = 2;
    settings.moe.capacity_factor = 1.5;
    settings.moe.eval_capacity_factor = 2.0;
    settings.moe.min_capacity = 0;
    settings.moe.aux_loss_coef = 0.01;
  }
  return settings;
}

void share_out_batch(TrainSettings& settings, int64_t processes) {
  settings.processes = processes;
  if (settings.global_batch_size == 0) return;
  const int64_t at_once = settings.per_device_train_batch_size * processes;
  if (settings.global_batch_size % at_once != 0) {
    throw usage_error("--global_batch_size", "is no multiple of what the processes take at once",
                      {.found = std::to_string(settings.global_batch_size),
                       .expected = "a multiple of --per_device_train_batch_size " +
                                   std::to_string(settings.per_device_train_batch_size) + " x " +
                                   std::to_string(processes) + " processes"});
  }
  settings.gradient_accumulation_steps = settings.global_batch_size / at_once;
}

Json settings_json(const TrainSettings& settings) {
  std::vector<std::string> data;
  for (const auto& path : settings.data_path) data.push_back(path.string());
  Json json = {{"stage", stage_name(settings.stage)},
               {"model_name_or_path", settings.model_name_or_path.string()},
               {"vision_tower", settings.vision_tower.string()},
               {"data_path", data},
               {"image_folder", settings.image_folder.string()},
               {"version", settings.version},
               {"model_max_length", settings.model_max_length},
               {"image_aspect_ratio", settings.aspect_ratio == AspectRatio::Pad ? "pad" : "square"},
               {"freeze_mm_mlp_adapter", settings.freeze_mm_mlp_adapter},
               {"image_projector_type", settings.projector},
               {"init_tensors", settings.init_tensors.string()},
               {"group_by_modality_length", settings.group_by_modality_length},
               {"group_by_length", json_of(settings.group_by_length)},
               {"num_train_epochs", settings.num_train_epochs},
               {"max_steps", settings.max_steps},
               {"per_device_train_batch_size", settings.per_device_train_batch_size},
               {"global_batch_size", settings.per_device_train_batch_size *
                                         settings.gradient_accumulation_steps * settings.processes},
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
  if (settings.stage >= 3) json.update(moe_json(settings.moe, settings.stage));
  if (settings.lora.enable) json.update(lora_json(settings.lora));
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
