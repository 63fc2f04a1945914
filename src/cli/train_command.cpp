// `moe-llava train`: flags in Hugging Face's and LLaVA's spelling to TrainSettings.
#include <ATen/Parallel.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <functional>
#include <memory>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "text/conversation.hpp"
#include "train/run.hpp"

namespace moellava {

namespace {

constexpr int64_t kMany = 1'000'000'000;

constexpr const char* kFooter = R"(Examples:
  # 1. The projector learns to put pictures into a language model's words.
  moe-llava train --stage 1 --model_name_or_path smollm2.gguf --vision_tower efficientnet-lite0.pth \
      --data_path captions.json --image_folder images --output_dir out/stage1
  # 2. The whole model learns to follow instructions.
  moe-llava train --stage 2 --model_name_or_path out/stage1 --data_path a.json b.json \
      --image_folder images --output_dir out/stage2
  # 3. Its feed-forwards become experts.
  moe-llava train --stage 3 --model_name_or_path out/stage2 --data_path tune.json \
      --image_folder images --num_experts 4 --top_k_experts 2 --output_dir out/stage3

A run that was stopped goes on from its newest checkpoint when the same command is given again.
SIGTERM and Ctrl-C save a checkpoint after the current step (exit 0 and 130).)";

[[noreturn]] void refuse(const std::string& flag, const std::string& value, const std::string& expected) {
  throw usage_error(flag, "not allowed", {.found = "\"" + printable(value) + "\"", .expected = expected});
}

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}
std::string text_of(int64_t value) {
  return std::to_string(value);
}

// The whole text as a number from `low` to `high`.
template <typename Number>
Number parse_number(const std::string& flag, const std::string& text, Number low, Number high) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  const bool whole = failure == std::errc() && stop == end && std::isfinite(static_cast<double>(value));
  if (!whole || value < low || value > high) {
    refuse(flag, text,
           std::string(std::is_integral_v<Number> ? "an integer" : "a number") + " from " + text_of(low) +
               " to " + text_of(high));
  }
  return value;
}

bool parse_boolean(const std::string& flag, const std::string& text) {
  if (text == "True" || text == "true" || text == "1") return true;
  if (text == "False" || text == "false" || text == "0") return false;
  refuse(flag, text, "True or False");
}

const std::string& one_of(const std::string& flag, const std::string& text,
                          const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return text;
  std::string list;
  for (std::string_view name : known) list += (list.empty() ? "" : ", ") + std::string(name);
  refuse(flag, text, "one of " + list);
}

// Flags write into settings only after the stage, and with it the defaults, is known.
class TrainFlags {
 public:
  explicit TrainFlags(CLI::App& app) : app_(app) {}

  using Text = const std::string&;
  // `assign(settings, value)` for flags with one value.
  CLI::Option* text(const std::string& flag, const std::string& help,
                    std::function<void(TrainSettings&, Text)> assign) {
    return app_
        .add_option_function<std::string>(
            flag,
            [this, assign](Text value) {
              assignments_.push_back([assign, value](TrainSettings& s) { assign(s, value); });
            },
            help)
        ->group(group_);
  }
  CLI::Option* list(const std::string& flag, const std::string& help,
                    std::function<void(TrainSettings&, const std::vector<std::string>&)> assign) {
    return app_
        .add_option_function<std::vector<std::string>>(
            flag,
            [this, assign](const std::vector<std::string>& values) {
              assignments_.push_back([assign, values](TrainSettings& s) { assign(s, values); });
            },
            help)
        ->group(group_);
  }
  // `field` gives the place of the value in the settings.
  template <typename Number>
  void number(const std::string& flag, Number low, Number high, const std::string& help,
              Number& (*field)(TrainSettings&)) {
    text(flag, help, [=](TrainSettings& s, Text value) {
      field(s) = parse_number(flag, value, low, high);
    })->type_name(std::is_integral_v<Number> ? "N" : "X");
  }
  // Alone, or with True or False behind it.
  void boolean(const std::string& flag, const std::string& help, bool& (*field)(TrainSettings&)) {
    text(flag, help,
         [=](TrainSettings& s, Text value) { field(s) = value.empty() || parse_boolean(flag, value); })
        ->expected(0, 1)
        ->type_name("True|False");
  }

  void group(const std::string& name) { group_ = name; }

  TrainSettings settings(int stage) const {
    TrainSettings settings = default_settings(stage);
    for (const auto& assign : assignments_) assign(settings);
    return settings;
  }

 private:
  CLI::App& app_;
  std::string group_;
  std::vector<std::function<void(TrainSettings&)>> assignments_;
};

void add_model_and_data_flags(TrainFlags& flags) {
  flags.group("Model and data");
  flags
      .text("--model_name_or_path", "model folder, or a .gguf file; the folder of the stage before",
            [](TrainSettings& s, TrainFlags::Text value) { s.model_name_or_path = value; })
      ->type_name("PATH")
      ->required();
  flags
      .text("--vision_tower",
            "CLIP or SigLIP folder, or EfficientNet-Lite0 .pth, for a model that has none (or to replace its "
            "own)",
            [](TrainSettings& s, TrainFlags::Text value) { s.vision_tower = value; })
      ->type_name("PATH");
  flags
      .text("--pretrain_mm_mlp_adapter",
            "mm_projector.bin to start from instead of the model's own projector",
            [](TrainSettings& s, TrainFlags::Text value) { s.pretrain_mm_mlp_adapter = value; })
      ->type_name("FILE");
  flags
      .list("--data_path", "one or more LLaVA files, JSON or JSON Lines",
            [](TrainSettings& s, const std::vector<std::string>& values) {
              s.data_path.assign(values.begin(), values.end());
            })
      ->type_name("FILE")
      ->required();
  flags
      .text("--image_folder", "folder that the data's picture names are relative to",
            [](TrainSettings& s, TrainFlags::Text value) { s.image_folder = value; })
      ->type_name("DIR");
  flags
      .text(
          "--feature_cache",
          "folder that keeps the tower's view of every picture for other stages and runs, or none: computed "
          "for each batch (default: features/ in the cache)",
          [](TrainSettings& s, TrainFlags::Text value) { s.feature_cache = value; })
      ->type_name("DIR|none");
  flags.number<int64_t>("--skip_bad_samples", 0, kMany,
                        "leave out and name up to N bad samples (default 0: stop at the first)",
                        [](TrainSettings& s) -> int64_t& { return s.skip_bad_samples; });
  flags.boolean("--group_by_modality_length",
                "steps of samples with pictures and steps of text only, as in the original (default False)",
                [](TrainSettings& s) -> bool& { return s.group_by_modality_length; });
  flags
      .text("--version", "conversation style (default: plain in stage 1, else the model's own)",
            [](TrainSettings& s, TrainFlags::Text value) {
              s.version = one_of("--version", value, conversation_style_names());
            })
      ->type_name("STYLE");
  flags.number<int64_t>("--model_max_length", 1, 1 << 20,
                        "tokens a sample keeps, a picture counted as one (default 2048)",
                        [](TrainSettings& s) -> int64_t& { return s.model_max_length; });
  flags
      .text("--image_aspect_ratio", "pad to a square or crop it (default: square in stage 1, else pad)",
            [](TrainSettings& s, TrainFlags::Text value) {
              const bool pad = one_of("--image_aspect_ratio", value, {"pad", "square"}) == "pad";
              s.aspect_ratio = pad ? AspectRatio::Pad : AspectRatio::Square;
            })
      ->type_name("pad|square");
}

void add_optimisation_flags(TrainFlags& flags) {
  flags.group("Optimisation");
  flags.number<double>("--num_train_epochs", 1e-6, 1e6, "default 1",
                       [](TrainSettings& s) -> double& { return s.num_train_epochs; });
  flags.number<int64_t>("--max_steps", -1, kMany, "steps instead of epochs (default -1: by epochs)",
                        [](TrainSettings& s) -> int64_t& { return s.max_steps; });
  flags.number<int64_t>("--per_device_train_batch_size", 1, 1 << 16,
                        "samples in memory at once (default 32 in stage 1, else 8)",
                        [](TrainSettings& s) -> int64_t& { return s.per_device_train_batch_size; });
  flags.number<int64_t>("--gradient_accumulation_steps", 1, 1 << 16, "such batches in one step (default 1)",
                        [](TrainSettings& s) -> int64_t& { return s.gradient_accumulation_steps; });
  flags.number<double>("--learning_rate", 0.0, 10.0, "default 1e-3 in stage 1, else 2e-5",
                       [](TrainSettings& s) -> double& { return s.learning_rate; });
  flags.number<double>("--mm_projector_lr", 0.0, 10.0, "of the projector (default 0: as --learning_rate)",
                       [](TrainSettings& s) -> double& { return s.mm_projector_lr; });
  flags.number<double>("--warmup_ratio", 0.0, 1.0, "share of the steps that warm up (default 0.03)",
                       [](TrainSettings& s) -> double& { return s.warmup_ratio; });
  flags
      .text("--lr_scheduler_type", "default cosine",
            [](TrainSettings& s, TrainFlags::Text value) {
              s.lr_scheduler = schedule_by_name(value, "--lr_scheduler_type");
            })
      ->type_name("cosine|constant");
  flags.number<double>("--weight_decay", 0.0, 10.0, "of matrices (default 0)",
                       [](TrainSettings& s) -> double& { return s.weight_decay; });
  flags.number<double>("--max_grad_norm", 0.0, 1e9, "clip the gradient's norm (default 0: do not)",
                       [](TrainSettings& s) -> double& { return s.max_grad_norm; });
  flags.boolean(
      "--bf16",
      "matrix products in bfloat16 where the processor has them; weights, sums, router and optimiser "
      "stay float32 (default False)",
      [](TrainSettings& s) -> bool& { return s.bf16; });
  flags
      .text("--seed", "of batches, a new projector and new routers (default 42)",
            [](TrainSettings& s, TrainFlags::Text value) {
              s.seed = static_cast<uint64_t>(parse_number<int64_t>("--seed", value, 0, INT64_MAX));
            })
      ->type_name("N");
}

void add_moe_flags(TrainFlags& flags) {
  flags.group("Mixture of experts (stage 3)");
  flags.boolean("--moe_enable", "False trains the dense model by the same rule (default True)",
                [](TrainSettings& s) -> bool& { return s.moe.enable; });
  flags.number<int64_t>("--num_experts", 1, 256, "experts of a layer (default 4)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.num_experts; });
  flags.number<int64_t>("--top_k_experts", 1, 256, "experts a token goes to (default 2)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.top_k_experts; });
  flags.number<double>("--capacity_factor", 1e-3, 1e3, "room of an expert in training (default 1.5)",
                       [](TrainSettings& s) -> double& { return s.moe.capacity_factor; });
  flags.number<double>("--eval_capacity_factor", 1e-3, 1e3, "and afterwards (default 2)",
                       [](TrainSettings& s) -> double& { return s.moe.eval_capacity_factor; });
  flags.number<int64_t>("--min_capacity", 0, kMany, "tokens an expert has room for at least (default 0)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.min_capacity; });
  flags
      .text("--moe_mode", "which layers (default sparse: every second one)",
            [](TrainSettings& s, TrainFlags::Text value) {
              s.moe.mode = one_of("--moe_mode", value, {"sparse", "dense", "first_half", "second_half"});
            })
      ->type_name("sparse|dense|first_half|second_half");
  flags
      .list("--moe_layers_idx", "these layers instead",
            [](TrainSettings& s, const std::vector<std::string>& values) {
              s.moe.layers.clear();
              for (const std::string& value : values)
                s.moe.layers.push_back(parse_number<int64_t>("--moe_layers_idx", value, 0, 4095));
            })
      ->type_name("N");
  flags.number<double>("--router_aux_loss_coef", 0.0, 1e3, "weight of the balance loss (default 0.01)",
                       [](TrainSettings& s) -> double& { return s.moe.aux_loss_coef; });
  flags.boolean("--faithful_aux", "no gradient from the balance loss, as in the original recipe",
                [](TrainSettings& s) -> bool& { return s.moe.faithful_aux; });
  flags.boolean("--use_residual", "a dense branch beside the experts (default False)",
                [](TrainSettings& s) -> bool& { return s.moe.use_residual; });
  flags
      .list("--train_modules",
            "train what contains one of these (default gate_proj up_proj down_proj wg), and the projector",
            [](TrainSettings& s, const std::vector<std::string>& values) { s.moe.train_modules = values; })
      ->type_name("NAME");
}

void add_run_flags(TrainFlags& flags) {
  flags.group("Run");
  flags
      .text("--output_dir", "checkpoints and the finished model",
            [](TrainSettings& s, TrainFlags::Text value) { s.output_dir = value; })
      ->type_name("DIR")
      ->required();
  flags.boolean("--overwrite_output_dir", "remove what an earlier run left there",
                [](TrainSettings& s) -> bool& { return s.overwrite_output_dir; });
  flags.number<int64_t>("--save_steps", 1, kMany, "steps between checkpoints (default 500)",
                        [](TrainSettings& s) -> int64_t& { return s.save_steps; });
  flags.number<int64_t>("--save_total_limit", 2, 1000, "checkpoints kept while training (default 2)",
                        [](TrainSettings& s) -> int64_t& { return s.save_total_limit; });
  flags.number<int64_t>("--logging_steps", 1, kMany,
                        "steps between entries of trainer_state.json's log_history (default 1)",
                        [](TrainSettings& s) -> int64_t& { return s.logging_steps; });
}

// A flag that would do nothing is a mistake of whoever typed it.
void require_stage_flags(const CLI::App& app, int stage) {
  for (const CLI::Option* option : app.get_options()) {
    const bool moe_only = option->get_group().starts_with("Mixture") && option->count() > 0;
    if (moe_only && stage != 3) {
      throw usage_error(option->get_name(), "only for stage 3",
                        {.found = "--stage " + std::to_string(stage)});
    }
  }
}

void end_as_interrupted() {
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train one stage of MoE-Tuning");
  auto flags = std::make_shared<TrainFlags>(*command);
  auto stage = std::make_shared<std::string>();
  auto threads = std::make_shared<std::string>();
  command
      ->add_option("--stage", *stage,
                   "1: the projector; 2: all but the vision tower; 3: the experts, routers and projector")
      ->required()
      ->type_name("1|2|3");
  add_model_and_data_flags(*flags);
  add_optimisation_flags(*flags);
  add_moe_flags(*flags);
  add_run_flags(*flags);
  command->add_option("--threads", *threads, "default: one a core")->type_name("N")->group("Run");
  command->footer(kFooter);
  command->callback([command, flags, stage, threads] {
    const auto number = static_cast<int>(parse_number<int64_t>("--stage", *stage, 1, 3));
    require_stage_flags(*command, number);
    if (!threads->empty())
      at::set_num_threads(static_cast<int>(parse_number<int64_t>("--threads", *threads, 1, 1024)));
    if (train(flags->settings(number)) == RunEnd::Interrupted) end_as_interrupted();
  });
}

}  // namespace moellava
