// `moe-llava merge`: a LoRA adapter and its base become one ordinary model folder.
#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <memory>

#include "base/error.hpp"
#include "base/say.hpp"
#include "base/whole_folder.hpp"
#include "cli/commands.hpp"
#include "model/adapter_folder.hpp"
#include "model/load.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

struct MergeFlags {
  std::string model;
  std::string model_base;
  std::string vision_tower;
  std::string out;
};

void merge(const MergeFlags& flags) {
  const at::NoGradGuard no_grad;
  if (fs::exists(flags.out)) throw usage_error("--out", "already there", {.found = printable(flags.out)});
  require_adapter_folder(flags.model, "--model");
  LoadOptions options;
  options.model_base = flags.model_base;
  options.vision_tower = flags.vision_tower;
  const LoadedModel loaded = load_model(flags.model, options);
  merge_adapters(*loaded.model);
  write_whole_folder(flags.out,
                     [&](const fs::path& partial) { save_model(*loaded.model, *loaded.tokenizer, partial); });
  say("model written to " + flags.out);
}

}  // namespace

void add_merge_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("merge", "Makes a whole model of a LoRA adapter and its base");
  auto flags = std::make_shared<MergeFlags>();
  command->add_option("--model", flags->model, "the adapter's folder")->required()->type_name("DIR");
  command
      ->add_option("--model-base", flags->model_base,
                   "the model it belongs to, when that is not where the adapter says")
      ->type_name("DIR");
  command->add_option("--vision-tower", flags->vision_tower, "tower of a base that has none")
      ->type_name("PATH");
  command->add_option("--out", flags->out, "folder to make, float32")->required()->type_name("DIR");
  command->footer(
      "Examples:\n"
      "  moe-llava merge --model run/adapter --out run/merged\n"
      "  moe-llava merge --model run/adapter --model-base run/stage2 --out run/merged");
  command->callback([flags] { merge(*flags); });
}

}  // namespace moellava
