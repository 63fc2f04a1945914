#include "train/stages.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/gguf_model.hpp"
#include "model/model_folder.hpp"
#include "model/weights.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

bool trains_projector(const std::string& name, const std::string&, const MoeSettings&) {
  return is_projector_parameter(name);
}

bool trains_all_but_tower(const std::string& name, const std::string&, const MoeSettings&) {
  return !is_tower_parameter(name);
}

// Routers and the coefficients of a residual MoE are new in stage 3, so they always learn.
bool trains_modules(const std::string& name, const std::string& family_name, const MoeSettings& moe) {
  if (is_tower_parameter(name)) return false;
  if (is_projector_parameter(name) || name.find(".coefficient.") != std::string::npos) return true;
  return std::any_of(moe.train_modules.begin(), moe.train_modules.end(), [&](const std::string& module) {
    return name.find(module) != std::string::npos || family_name.find(module) != std::string::npos;
  });
}

constexpr Stage kStages[] = {
    {1, "align the projector", "a language model and a vision tower", trains_projector},
    {2, "tune the whole model", "the folder of stage 1", trains_all_but_tower},
    {3, "mixture of experts", "the dense folder of stage 2", trains_modules},
};

int64_t decoder_layers(const fs::path& path) {
  return path.extension() == ".gguf" ? gguf_model_config(open_gguf(path)).decoder.layers
                                     : read_model_config(path).decoder.layers;
}

void require_equal_experts(MoeLlava& model) {
  for (DecoderLayer& layer : model.decoder().layers()) {
    if (!layer.moe) continue;
    std::vector<at::Tensor> first;
    for (size_t e = 0; e < layer.moe->experts.size(); ++e) {
      size_t i = 0;
      layer.moe->experts[e].visit("expert", [&](const std::string& name, at::Tensor& tensor) {
        if (e == 0) return first.push_back(tensor);
        if (!first[i++].equal(tensor)) {
          throw Error(ErrorKind::Internal,
                      name + ": expert " + std::to_string(e) + " is no copy of expert 0");
        }
      });
    }
  }
}

}  // namespace

const Stage& stage_by_number(int number) {
  return kStages[number - 1];
}

MoeConfig moe_config(const MoeSettings& moe, int64_t decoder_layers) {
  if (moe.top_k_experts > moe.num_experts) {
    throw usage_error("--top_k_experts", "more than there are experts",
                      {.found = std::to_string(moe.top_k_experts),
                       .expected = "at most --num_experts " + std::to_string(moe.num_experts)});
  }
  MoeConfig config;
  config.mode = moe.mode;
  config.layers = moe.layers.empty() ? moe_layers_of_mode(moe.mode, decoder_layers) : moe.layers;
  std::sort(config.layers.begin(), config.layers.end());
  config.layers.erase(std::unique(config.layers.begin(), config.layers.end()), config.layers.end());
  if (config.layers.empty() || config.layers.back() >= decoder_layers) {
    throw usage_error("--moe_layers_idx", "no such layer",
                      {.found = config.layers.empty() ? "none" : std::to_string(config.layers.back()),
                       .expected = "0 to " + std::to_string(decoder_layers - 1)});
  }
  config.experts.assign(config.layers.size(), moe.num_experts);
  config.top_k = moe.top_k_experts;
  config.capacity_factor = moe.capacity_factor;
  config.eval_capacity_factor = moe.eval_capacity_factor;
  config.min_capacity = moe.min_capacity;
  config.use_residual = moe.use_residual;
  config.aux_loss_coef = moe.aux_loss_coef;
  config.train_modules = moe.train_modules;
  return config;
}

LoadedModel load_for_stage(const TrainSettings& settings) {
  LoadOptions options;
  options.vision_tower = settings.vision_tower;
  options.mm_projector = settings.pretrain_mm_mlp_adapter;
  options.seed = settings.seed;
  // "plain" is how captions are written in stage 1, not how the model is talked to.
  if (settings.version != "plain") options.conversation = settings.version;
  const bool sparse = settings.stage == 3 && settings.moe.enable;
  if (sparse) options.upcycle = moe_config(settings.moe, decoder_layers(settings.model_name_or_path));
  LoadedModel loaded = load_model(settings.model_name_or_path, options);
  if (sparse) require_equal_experts(*loaded.model);
  return loaded;
}

std::vector<NamedParameter> select_trainable(MoeLlava& model, const TrainSettings& settings) {
  const Stage& stage = stage_by_number(settings.stage);
  const Family& family = family_by_name(model.config().family);
  std::vector<NamedParameter> trainable;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    const bool trained = stage.trains(name, family.file_name(name), settings.moe);
    tensor.set_requires_grad(trained);
    const bool own_rate = is_projector_parameter(name) && settings.mm_projector_lr > 0;
    if (trained)
      trainable.push_back({name, tensor, own_rate ? settings.mm_projector_lr / settings.learning_rate : 1});
  });
  if (trainable.empty()) {
    throw usage_error("--stage " + std::to_string(settings.stage), "nothing to train",
                      {.hint = settings.stage == 1 ? "give --vision_tower" : "see --train_modules"});
  }
  return trainable;
}

}  // namespace moellava
