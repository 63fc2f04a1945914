// The flags that every command with a model shares.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "model/load.hpp"

namespace moellava {

struct ModelOptions {
  std::string model;
  std::string vision_tower;
  std::string conversation;
  int64_t threads = 0;  // 0: one for each core

  void add_to(CLI::App& command);
  LoadedModel load() const;  // sets the number of threads, too
};

}  // namespace moellava
