// What a model folder or .gguf holds, learned without reading weights; and what would keep it from loading.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/load.hpp"

namespace moellava {

// What is told of a LoRA adapter.
struct InspectedAdapter {
  std::filesystem::path base;  // the model that it belongs to
  AdapterSettings settings;
  uint64_t parameters = 0;  // values of its matrices
};

struct Inspection {
  std::optional<ModelConfig> config;  // none when config.json cannot be understood
  ParameterCount parameters;
  uint64_t bytes = 0;  // of all tensors, a separate tower's included
  uint64_t tensors = 0;
  std::map<std::string, uint64_t> bytes_of_dtype;  // "BF16" -> bytes
  std::optional<InspectedAdapter> adapter;
  std::optional<int32_t> tokens;      // of the tokenizer
  std::vector<std::string> problems;  // each would stop load_model; empty: it loads
};

// Never throws for what the files hold: that becomes a problem. `read_values` looks at every value, too, and
// names the first tensors with one that is not finite.
Inspection inspect_model(const std::filesystem::path& path, const LoadOptions& options, bool read_values);

}  // namespace moellava
