// `moe-llava train`: one stage of MoE-Tuning, or a finished model tuned on.
#include <ATen/Parallel.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "cli/commands.hpp"
#include "cli/in_processes.hpp"
#include "cli/train_flags.hpp"
#include "train/run.hpp"
#include "train/run_plan.hpp"

namespace moellava {

namespace {

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
  # The published recipe for Phi-2, with other data.
  moe-llava train --config configs/phi2-stage3.json --model_name_or_path out/stage2 --data_path tune.json \
      --image_folder images --output_dir out/phi2

A run that was stopped goes on from its newest checkpoint when the same command is given again.
SIGTERM and Ctrl-C save a checkpoint after the current step (exit 0 and 130); SIGUSR1 saves and goes on.

mpirun -n N moe-llava train ... trains in N processes, srun and torchrun likewise: docs/training.md.)";

void end_as_interrupted() {
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train one stage of MoE-Tuning");
  auto flags = std::make_shared<TrainFlags>(*command);
  add_train_flags(*flags);
  command->footer(kFooter);
  command->callback([flags] {
    TrainSettings settings = flags->settings();
    RunEnd end = RunEnd::Finished;
    in_processes(std::chrono::seconds(settings.ddp_timeout), [&](Processes& processes) {
      if (settings.threads == 0 && processes.size() > 1)
        settings.threads = threads_of_process(detect_launch(std::getenv));
      if (settings.threads > 0) at::set_num_threads(settings.threads);
      share_out_batch(settings, processes.size());
      if (!settings.dry_run) {
        end = train(settings, processes);
      } else if (processes.first()) {
        std::cout << plan_text(plan_run(settings));
      }
    });
    if (end == RunEnd::Interrupted) end_as_interrupted();
  });
}

}  // namespace moellava
