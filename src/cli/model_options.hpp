// The flags that every command that runs a model shares.
#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>

#include "model/load.hpp"

namespace moellava {

// "runs/moe/" -> "moe"
std::string folder_name(const std::filesystem::path& path);

struct ModelOptions {
  std::string model;
  std::string model_base;
  std::string vision_tower;
  std::string mm_projector;
  std::string conversation;
  int64_t threads = 0;  // 0: one for each core
  std::string device = "auto";
  bool bf16 = false;
  std::string router_sampling = "top";
  std::optional<int64_t> top_k_experts;
  std::vector<std::string> masked_experts;   // as parse_expert_edits takes them
  std::vector<std::string> swapped_experts;  // likewise
  uint64_t seed = 0;

  void add_to(CLI::App& command);
  LoadedModel load() const;  // sets the number of threads and the device, too
  // How the routers choose. Throws Usage when the flags ask what `model` cannot do.
  MoeRun moe_run(const MoeLlava& model) const;
  // What of it changes answers, as text: ", top_k_experts 1"; "" when nothing is asked.
  std::string moe_settings() const;
};

}  // namespace moellava
