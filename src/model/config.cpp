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

}  // namespace moellava
