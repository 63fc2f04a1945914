#include "train/stages.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "model/adapter_folder.hpp"
#include "model/families/family.hpp"
#include "model/gguf_model.hpp"
#include "model/model_folder.hpp"
#include "model/weights.hpp"
#include "train/initial_tensors.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

bool trains_projector(const std::string& name, const std::string&, const MoeSettings&) {
  return is_projector_parameter(name);
}

bool trains_all_but_tower(const std::string& name, const std::string&, const MoeSettings&) {
  return !is_tower_parameter(name);
}

// The coefficients of a residual MoE belong to no module, so they always learn.
bool trains_modules(const std::string& name, const std::string& family_name, const MoeSettings& moe) {
  if (is_tower_parameter(name)) return false;
  if (is_projector_parameter(name) || name.find(".coefficient.") != std::string::npos) return true;
  // An expert is also known by the feed-forward it was copied from: "mlp.w1" trains Qwen's experts.
  const std::string spellings[] = {name, family_name, dense_name_of_expert(family_name)};
  return std::any_of(moe.train_modules.begin(), moe.train_modules.end(), [&](const std::string& module) {
    return std::any_of(std::begin(spellings), std::end(spellings), [&](const std::string& spelling) {
      return spelling.find(module) != std::string::npos;
    });
  });
}

// Routers are new in stage 3: they learn whether they are named or not, as in the original.
bool trains_modules_and_routers(const std::string& name, const std::string& family_name,
                                const MoeSettings& moe) {
  return is_router_parameter(name) || trains_modules(name, family_name, moe);
}

constexpr Stage kStages[] = {
    {"align the projector", "a language model and a vision tower", trains_projector},
    {"tune the whole model", "the folder of stage 1", trains_all_but_tower},
    {"mixture of experts", "the dense folder of stage 2", trains_modules_and_routers},
    {"go on with experts", "a finished mixture of experts", trains_modules},
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

// With the adapters of an earlier run instead of new ones.
bool goes_on(const TrainSettings& settings) {
  return !settings.lora.weight_path.empty();
}

// Adapters to go on from come as they are.
void require_own_adapters(const TrainSettings& settings) {
  const LoraSettings& lora = settings.lora;
  for (const auto& [given, flag] : {std::pair(lora.r.has_value(), "--lora_r"),
                                    {lora.alpha.has_value(), "--lora_alpha"},
                                    {lora.only_ffn.has_value(), "--only_lora_ffn"}}) {
    if (given)
      throw usage_error(flag, "not together with --lora_weight_path", {.hint = "the adapter has its own"});
  }
  if (settings.stage == 3) {
    throw usage_error("--lora_weight_path", "not in stage 3",
                      {.hint = "moe-llava merge makes a whole model of the adapter, which stage 3 takes"});
  }
  require_adapter_folder(lora.weight_path, "--lora_weight_path");
}

// Rows of a micro-batch that go to experts elsewhere have other places there, which the dropout goes by.
void require_fitting_dropout(double dropout, const TrainSettings& settings) {
  if (dropout > 0 && settings.moe.ep_size > 1)
    throw usage_error("--lora_dropout", "not together with --ep_size",
                      {.found = string_printf("%g", dropout), .expected = "0"});
}

// What would be forgotten or do nothing.
void require_fitting_flags(const TrainSettings& settings) {
  const LoraSettings& lora = settings.lora;
  if (is_adapter_folder(settings.model_name_or_path)) {
    throw usage_error("--model_name_or_path", "is an adapter",
                      {.found = printable(settings.model_name_or_path.string()),
                       .hint = "name its base here, and the adapter as --lora_weight_path"});
  }
  for (const auto& [given, flag] : {std::pair(lora.r.has_value(), "--lora_r"),
                                    {lora.alpha.has_value(), "--lora_alpha"},
                                    {lora.dropout.has_value(), "--lora_dropout"},
                                    {lora.only_ffn.has_value(), "--only_lora_ffn"},
                                    {goes_on(settings), "--lora_weight_path"}}) {
    if (given && !lora.enable) throw usage_error(flag, "only with --lora_enable True");
  }
  if (!lora.enable) return;
  if (goes_on(settings)) {
    require_own_adapters(settings);
  } else {
    require_fitting_dropout(adapter_settings(lora).dropout, settings);
  }
  if (!settings.init_tensors.empty()) {
    throw usage_error("--init_tensors", "not together with --lora_enable",
                      {.hint = "an adapter's folder does not hold the weights beside it"});
  }
}

void add_new_adapters(LoadedModel& loaded, const TrainSettings& settings) {
  const bool only_ffn = settings.lora.only_ffn.value_or(loaded.model->config().moe.enabled());
  loaded.adapters = adapter_settings(settings.lora);
  loaded.dropout = add_adapters(
      *loaded.model, *loaded.adapters,
      [&](const std::string& name) { return only_ffn ? is_feed_forward_linear(name) : name != "lm_head"; },
      settings.seed);
}

}  // namespace

const Stage& stage_by_number(int number) {
  return kStages[number - 1];
}

MoeConfig moe_config(const MoeSettings& moe, int64_t decoder_layers) {
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
  config.experts = moe.num_experts;
  if (config.experts.size() == 1) config.experts.resize(config.layers.size(), config.experts[0]);
  if (config.experts.size() != config.layers.size()) {
    throw usage_error("--num_experts", "not one number for each MoE layer",
                      {.found = std::to_string(config.experts.size()) + " numbers",
                       .expected = "one, or " + std::to_string(config.layers.size())});
  }
  config.use_residual = moe.use_residual;
  apply_expert_work(moe, config);
  return config;
}

void apply_expert_work(const MoeSettings& moe, MoeConfig& config) {
  config.top_k = moe.top_k_experts.value_or(config.top_k);
  config.capacity_factor = moe.capacity_factor.value_or(config.capacity_factor);
  config.eval_capacity_factor = moe.eval_capacity_factor.value_or(config.eval_capacity_factor);
  config.min_capacity = moe.min_capacity.value_or(config.min_capacity);
  config.aux_loss_coef = moe.aux_loss_coef.value_or(config.aux_loss_coef);
  config.train_modules = moe.train_modules;
  const int64_t fewest = *std::min_element(config.experts.begin(), config.experts.end());
  if (config.top_k > fewest) {
    throw usage_error("--top_k_experts", "more than there are experts",
                      {.found = std::to_string(config.top_k),
                       .expected = "at most " + std::to_string(fewest) + ", the experts of a layer"});
  }
}

namespace {

bool becomes_sparse(const TrainSettings& settings) {
  return settings.stage == 3 && settings.moe.enable;
}

// Refers to `settings`.
LoadOptions load_options(const TrainSettings& settings) {
  LoadOptions options;
  options.vision_tower = settings.vision_tower;
  options.mm_projector = settings.pretrain_mm_mlp_adapter;
  options.projector = settings.projector;
  options.seed = settings.seed;
  // "plain" is how captions are written in stage 1, not how the model is talked to.
  if (settings.version != "plain") options.conversation = settings.version;
  if (becomes_sparse(settings))
    options.upcycle = moe_config(settings.moe, decoder_layers(settings.model_name_or_path));
  if (settings.stage == kFinetune)
    options.adjust_moe = [&](MoeConfig& config) { apply_expert_work(settings.moe, config); };
  if (goes_on(settings)) options.model_base = settings.model_name_or_path;
  return options;
}

LoadedModel with_adapters(LoadedModel loaded, const TrainSettings& settings) {
  if (goes_on(settings)) {
    loaded.adapters->dropout = settings.lora.dropout.value_or(loaded.adapters->dropout);
    loaded.dropout->probability = loaded.adapters->dropout;
  } else if (settings.lora.enable) {
    add_new_adapters(loaded, settings);
  }
  if (loaded.adapters) require_fitting_dropout(loaded.adapters->dropout, settings);
  return loaded;
}

// What would be left out without a word.
void require_no_attention_dropout(const ModelConfig& config, const TrainSettings& settings) {
  const double share = config.decoder.attention_dropout;
  if (share > 0)
    throw bad_data((settings.model_name_or_path / "config.json").string(),
                   "dropout of attention's weights is not supported in training",
                   {.found = string_printf("%g", share), .expected = "0"});
}

fs::path starting_folder(const TrainSettings& settings) {
  return goes_on(settings) ? settings.lora.weight_path : settings.model_name_or_path;
}

}  // namespace

LoadedModel outline_for_stage(const TrainSettings& settings) {
  require_fitting_flags(settings);
  LoadedModel outline = outline_model(starting_folder(settings), load_options(settings));
  require_no_attention_dropout(outline.model->config(), settings);
  return with_adapters(std::move(outline), settings);
}

LoadedModel load_for_stage(const TrainSettings& settings) {
  require_fitting_flags(settings);
  LoadedModel loaded = load_model(starting_folder(settings), load_options(settings));
  require_no_attention_dropout(loaded.model->config(), settings);
  if (becomes_sparse(settings)) require_equal_experts(*loaded.model);
  loaded = with_adapters(std::move(loaded), settings);
  if (!settings.init_tensors.empty()) set_initial_tensors(*loaded.model, settings.init_tensors);
  return loaded;
}

std::vector<NamedParameter> select_trainable(MoeLlava& model, const TrainSettings& settings) {
  const Stage& stage = stage_by_number(settings.stage);
  const Family& family = family_by_name(model.config().family);
  std::vector<NamedParameter> trainable;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    const bool frozen = settings.freeze_mm_mlp_adapter && is_projector_parameter(name);
    const bool of_stage = !frozen && stage.trains(name, family.file_name(name), settings.moe);
    const bool trained = settings.lora.enable
                             ? is_low_rank_parameter(name) || (of_stage && is_saved_with_adapters(name))
                             : of_stage;
    tensor.set_requires_grad(trained);
    const bool own_rate = is_projector_parameter(name) && settings.mm_projector_lr > 0;
    if (trained)
      trainable.push_back({name, tensor, own_rate ? settings.mm_projector_lr / settings.learning_rate : 1});
  });
  if (trainable.empty()) {
    throw usage_error("--stage " + stage_name(settings.stage), "nothing to train",
                      {.hint = settings.stage == 1 ? "give --vision_tower" : "see --train_modules"});
  }
  return trainable;
}

}  // namespace moellava
