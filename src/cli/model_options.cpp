#include "cli/model_options.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <thread>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/arguments.hpp"
#include "cli/expert_edits.hpp"
#include "nn/device.hpp"
#include "text/conversation.hpp"

namespace moellava {

std::string folder_name(const std::filesystem::path& path) {
  const std::filesystem::path clean = path.lexically_normal();
  return (clean.has_filename() ? clean : clean.parent_path()).filename().string();
}

void ModelOptions::add_to(CLI::App& command) {
  command.add_option("--model", model, "model folder, a .gguf file (text only), or a LoRA adapter's folder")
      ->required()
      ->group("Model");
  command
      .add_option("--model-base", model_base,
                  "of an adapter: the model it belongs to, when that is not where the adapter says")
      ->type_name("DIR")
      ->group("Model");
  command
      .add_option("--vision-tower", vision_tower,
                  "CLIP or SigLIP folder, or EfficientNet .pth, to use instead of the model's own")
      ->group("Model");
  command
      .add_option("--mm-projector", mm_projector,
                  "mm_projector.bin to use instead of the model's own projector")
      ->type_name("FILE")
      ->group("Model");
  command
      .add_option("--conv", conversation,
                  "conversation style instead of the model's own: " + joined(conversation_style_names()))
      ->group("Model");
  command.add_option("--threads", threads, "threads (0: one for each core)")
      ->check(number_from<int64_t>(0, 1024))
      ->group("Performance")
      ->capture_default_str();
  command
      .add_option(
          "--device", device,
          "where to compute: cpu, cuda, cuda:N, or auto, a GPU if there is one (needs the cuda preset)")
      ->group("Performance")
      ->capture_default_str();
  command
      .add_flag("--bf16", bf16,
                "multiply large matrices in bfloat16 where the processor can: faster prompts, less exact")
      ->group("Performance");
  command
      .add_option("--router-sampling", router_sampling,
                  "second expert of a token: top (the second best) or gumbel (drawn, as in the original)")
      ->check(CLI::IsMember({"top", "gumbel"}))
      ->group("Routers")
      ->capture_default_str();
  command
      .add_option("--top-k-experts", top_k_experts, "experts of a token instead of the model's own number")
      ->check(number_from<int64_t>(1, 1 << 10))
      ->type_name("K")
      ->group("Routers");
  command
      .add_option("--mask-expert", masked_experts,
                  "what if this expert got no tokens? Numbers from 1; again for more")
      ->type_name("LAYER:EXPERT")
      ->group("Routers");
  command
      .add_option("--swap-experts", swapped_experts,
                  "what if these two stood in each other's place? Again for more")
      ->type_name("LAYER:EXPERT:EXPERT")
      ->group("Routers");
  command.add_option("--seed", seed, "of everything that is drawn")
      ->check(number_from<uint64_t>(0, std::numeric_limits<uint64_t>::max()))
      ->group("Sampling")
      ->capture_default_str();
}

LoadedModel ModelOptions::load() const {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : cores));
  LoadOptions options;
  options.model_base = model_base;
  options.vision_tower = vision_tower;
  options.mm_projector = mm_projector;
  options.conversation = conversation;
  options.memory = WeightMemory::AsStored;
  options.bfloat16_products = bf16;
  const at::Device where = device_by_name(device, "--device");
  LoadedModel loaded = load_model(model, options);
  loaded.model->to(where);
  return loaded;
}

MoeRun ModelOptions::moe_run(const MoeLlava& loaded) const {
  const MoeConfig& moe = loaded.config().moe;
  const bool gumbel = router_sampling == "gumbel";
  if (!moe.enabled()) {
    for (const auto& [asked, flag] : {std::pair(gumbel, "--router-sampling"),
                                      {top_k_experts.has_value(), "--top-k-experts"},
                                      {!masked_experts.empty(), "--mask-expert"},
                                      {!swapped_experts.empty(), "--swap-experts"}}) {
      if (asked) throw usage_error(flag, "a dense model has no routers");
    }
    return {};
  }
  MoeRun run;
  if (gumbel) run.gumbel_seed = seed;
  if (top_k_experts) {
    const int64_t fewest = *std::min_element(moe.experts.begin(), moe.experts.end());
    if (*top_k_experts > fewest) {
      throw usage_error(
          "--top-k-experts", "more than there are experts",
          {.found = std::to_string(*top_k_experts), .expected = "1 to " + std::to_string(fewest)});
    }
    run.top_k = top_k_experts;
  }
  run.edits = parse_expert_edits(masked_experts, swapped_experts, moe, run.top_k.value_or(moe.top_k));
  return run;
}

std::string ModelOptions::moe_settings() const {
  std::string text;
  if (top_k_experts) text += ", top_k_experts " + std::to_string(*top_k_experts);
  if (router_sampling != "top")
    text += ", router_sampling " + router_sampling + " seed " + std::to_string(seed);
  for (const std::string& expert : masked_experts) text += ", mask_expert " + expert;
  for (const std::string& pair : swapped_experts) text += ", swap_experts " + pair;
  return text;
}

}  // namespace moellava
