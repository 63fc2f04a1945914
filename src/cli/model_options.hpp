// The flags that every command that runs a model shares.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "model/load.hpp"

namespace moellava {

struct ModelOptions {
  std::string model;
  std::string vision_tower;
  std::string mm_projector;
  std::string conversation;
  int64_t threads = 0;  // 0: one for each core
  bool bf16 = false;
  std::string router_sampling = "top";
  std::optional<int64_t> top_k_experts;
  uint64_t seed = 0;

  void add_to(CLI::App& command);
  LoadedModel load() const;  // sets the number of threads, too
  // How the routers choose. Throws Usage when the flags ask what `model` cannot do.
  MoeRun moe_run(const MoeLlava& model) const;
};

}  // namespace moellava
