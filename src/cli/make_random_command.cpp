// `moe-llava make-random`: a model folder of random weights in the published layout.
#include <memory>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "model/random_model.hpp"

namespace moellava {

namespace {

struct MakeRandomFlags {
  std::string folder;
  RandomModelOptions options;
};

std::string known_names() {
  std::string text;
  for (const std::string& name : random_model_names()) text += "\n  " + name;
  return text;
}

}  // namespace

void add_make_random_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "make-random",
      "Writes a model folder of random weights in the published layout, for tests and benchmarks");
  auto flags = std::make_shared<MakeRandomFlags>();
  command->add_option("folder", flags->folder, "folder to make")->required()->type_name("DIR");
  command->add_option("--like", flags->options.like, "published model whose layout and size it gets")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_flag("--tiny", flags->options.tiny, "few small layers instead of the real size");
  command->add_option("--seed", flags->options.seed, "of the weights")->capture_default_str();
  command->footer(
      "Examples:\n"
      "  moe-llava make-random --like phi2-2.7b-4e --tiny tiny-phi\n"
      "  moe-llava make-random --like qwen-1.8b-4e random-qwen     (6.7 GB)\n\n"
      "Names:" +
      known_names());
  command->callback([flags] { write_random_model(flags->folder, flags->options); });
}

}  // namespace moellava
