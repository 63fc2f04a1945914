#include "cli/model_options.hpp"

#include <ATen/Parallel.h>

#include <thread>

#include "cli/arguments.hpp"

namespace moellava {

void ModelOptions::add_to(CLI::App& command) {
  command.add_option("--model", model, "model folder, or a .gguf file (text only)")
      ->required()
      ->group("Model");
  command
      .add_option("--vision-tower", vision_tower,
                  "CLIP or SigLIP folder, or EfficientNet .pth, to use instead of the model's own")
      ->group("Model");
  command
      .add_option(
          "--conv", conversation,
          "conversation style instead of the model's own: chatml, v1, mistral, minicpm, openchat, phi, "
          "qwen, stablelm")
      ->group("Model");
  command.add_option("--threads", threads, "threads (0: one for each core)")
      ->check(number_from<int64_t>(0, 1024))
      ->group("Performance")
      ->capture_default_str();
}

LoadedModel ModelOptions::load() const {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : cores));
  LoadOptions options;
  options.vision_tower = vision_tower;
  options.conversation = conversation;
  options.memory = WeightMemory::AsStored;
  return load_model(model, options);
}

}  // namespace moellava
