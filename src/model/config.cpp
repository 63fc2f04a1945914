#include "model/config.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

std::vector<int64_t> moe_layers_of_mode(const std::string& mode, int64_t decoder_layers) {
  int64_t first = 0;
  int64_t last = decoder_layers;
  int64_t step = 1;
  if (mode == "sparse") {
    step = 2;
  } else if (mode == "first_half") {
    last = decoder_layers / 2;
  } else if (mode == "second_half") {
    first = decoder_layers / 2;
  } else if (mode != "dense") {
    throw usage_error(
        "moe_mode", "unknown mode",
        {.found = "\"" + printable(mode) + "\"", .expected = "sparse, dense, first_half or second_half"});
  }
  std::vector<int64_t> layers;
  for (int64_t i = first; i < last; i += step) layers.push_back(i);
  return layers;
}

int64_t VisionConfig::tokens() const {
  if (kind == TowerKind::EfficientNetLite0) return 49;
  const int64_t grid = image_size / patch_size;
  return grid * grid + (select_class_token ? 1 : 0);
}

VisionConfig read_clip_config(const JsonObject& json) {
  VisionConfig config;
  config.hidden_size = json.integer_or("hidden_size", 768, 1, 1 << 16);
  config.intermediate_size = json.integer_or("intermediate_size", 3072, 1, 1 << 18);
  config.layers = json.integer_or("num_hidden_layers", 12, 1, 1024);
  config.heads = json.integer_or("num_attention_heads", 12, 1, 1024);
  config.image_size = json.integer_or("image_size", 224, 1, 8192);
  config.patch_size = json.integer_or("patch_size", 32, 1, 1024);
  config.norm_eps = json.number_or("layer_norm_eps", 1e-5);
  config.activation =
      activation_by_name(json.string_or("hidden_act", "quick_gelu"), json.where() + ": hidden_act");
  if (config.hidden_size % config.heads != 0) {
    throw bad_data(json.where() + ": hidden_size", "out of range",
                   {.found = std::to_string(config.hidden_size),
                    .expected = "a multiple of num_attention_heads " + std::to_string(config.heads)});
  }
  if (config.image_size % config.patch_size != 0) {
    throw bad_data(json.where() + ": image_size", "out of range",
                   {.found = std::to_string(config.image_size),
                    .expected = "a multiple of patch_size " + std::to_string(config.patch_size)});
  }
  return config;
}

PreprocessConfig read_preprocess_config(const JsonObject& json) {
  PreprocessConfig config;
  // Old files give a number, newer ones {"shortest_edge": n} or {"height": n, "width": n}.
  if (json.has("size") && json.at("size").is_object()) {
    const JsonObject size = json.object("size");
    config.resize_shortest_edge = size.has("shortest_edge");
    config.size =
        static_cast<int>(size.integer(config.resize_shortest_edge ? "shortest_edge" : "height", 1, 8192));
  } else {
    config.size = static_cast<int>(json.integer("size", 1, 8192));
  }
  config.center_crop = json.boolean_or("do_center_crop", config.resize_shortest_edge);
  auto three = [&](std::string_view key, std::array<float, 3>& values) {
    const Json& list = json.at(key);
    if (!list.is_array() || list.size() != 3)
      throw bad_data(json.where() + ": " + std::string(key), "not a list of 3 numbers");
    for (size_t i = 0; i < 3; ++i) {
      if (!list[i].is_number())
        throw bad_data(json.where() + ": " + std::string(key), "not a list of 3 numbers");
      values[i] = list[i].get<float>();
    }
  };
  three("image_mean", config.mean);
  three("image_std", config.std);
  for (float value : config.std) {
    if (!(value > 0))
      throw bad_data(json.where() + ": image_std", "out of range", {.expected = "positive numbers"});
  }
  return config;
}

MoeConfig read_moe_config(const JsonObject& json, int64_t decoder_layers) {
  MoeConfig moe;
  moe.mode = json.string_or("moe_mode", "sparse");
  moe.layers = json.integers("moe_layers_idx", 0, decoder_layers - 1);
  if (!std::is_sorted(moe.layers.begin(), moe.layers.end(), std::less_equal<>())) {
    throw bad_data(json.where() + ": moe_layers_idx", "not in ascending order");
  }
  moe.experts = json.integers("num_experts", 1, 4096);
  if (moe.experts.size() == 1) moe.experts.resize(moe.layers.size(), moe.experts[0]);
  if (moe.experts.size() != moe.layers.size()) {
    throw bad_data(json.where() + ": num_experts", "wrong length",
                   {.found = std::to_string(moe.experts.size()),
                    .expected = std::to_string(moe.layers.size()) + " as in moe_layers_idx"});
  }
  const int64_t fewest = moe.experts.empty() ? 1 : *std::min_element(moe.experts.begin(), moe.experts.end());
  moe.top_k = json.integer_or("top_k_experts", std::min<int64_t>(2, fewest), 1, fewest);
  auto factor = [&](std::string_view key, double fallback) {
    const double value = json.number_or(key, fallback);
    if (value <= 0)
      throw bad_data(json.where() + ": " + std::string(key), "out of range",
                     {.expected = "a positive number"});
    return value;
  };
  moe.capacity_factor = factor("capacity_factor", 1.0);
  moe.eval_capacity_factor = factor("eval_capacity_factor", 1.0);
  moe.min_capacity = json.integer_or("min_capacity", 4, 0, 1 << 30);
  moe.use_residual = json.boolean_or("use_residual", false);
  moe.aux_loss_coef = json.number_or("router_aux_loss_coef", 0.01);
  if (json.has("train_modules") && json.at("train_modules").is_array()) {
    for (const Json& name : json.at("train_modules")) {
      if (name.is_string()) moe.train_modules.push_back(name.get<std::string>());
    }
  }
  return moe;
}

Json write_moe_config(const MoeConfig& moe) {
  return {{"moe_enable", true},
          {"moe_mode", moe.mode},
          {"moe_layers_idx", moe.layers},
          {"num_experts", moe.experts},
          {"top_k_experts", moe.top_k},
          {"capacity_factor", moe.capacity_factor},
          {"eval_capacity_factor", moe.eval_capacity_factor},
          {"min_capacity", moe.min_capacity},
          {"use_residual", moe.use_residual},
          {"router_aux_loss_coef", moe.aux_loss_coef},
          {"train_modules", moe.train_modules},
          {"ep_size", 1}};
}

VisionConfig efficientnet_lite0_config() {
  VisionConfig config;
  config.kind = TowerKind::EfficientNetLite0;
  config.name = "efficientnet-lite0";
  config.hidden_size = 1280;
  config.image_size = 224;
  return config;
}

PreprocessConfig efficientnet_lite0_preprocess() {
  PreprocessConfig config;
  config.size = 224;
  // (pixel - 127) / 128, as the published weights were trained.
  config.mean = {127.0f / 255, 127.0f / 255, 127.0f / 255};
  config.std = {128.0f / 255, 128.0f / 255, 128.0f / 255};
  return config;
}

}  // namespace moellava
