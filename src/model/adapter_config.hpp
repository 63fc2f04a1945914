// adapter_config.json of PEFT, as far as it describes LoRA on linear layers.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/json.hpp"
#include "model/adapter.hpp"

namespace moellava {

constexpr int64_t kMostAdapterRank = 1 << 16;

struct AdapterConfig {
  AdapterSettings settings;
  std::string base;               // base_model_name_or_path; "": not said
  std::set<std::string> targets;  // names of modules or their ends; empty: a pattern, which is not obeyed
  // Ranks and alphas of modules that differ from the settings', by names or their ends.
  std::map<std::string, int64_t> ranks;
  std::map<std::string, double> alphas;

  // Of the module with this path in the base model.
  int64_t rank_of(const std::string& module) const;
  double alpha_of(const std::string& module) const;
  bool targets_module(const std::string& module) const;
};

// Whether PEFT's `name` means `module`: the whole path or, behind a dot, its end.
bool names_module(const std::string& name, const std::string& module);

// Throws BadData naming file and field: of other methods than LoRA, and of all that changes what is computed
// and is not known here (DoRA, biases, whole modules, ...).
AdapterConfig read_adapter_config(const std::filesystem::path& path);
Json adapter_config_json(const AdapterConfig& config);

}  // namespace moellava
