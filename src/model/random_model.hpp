// Model folders in the published layout, filled with random numbers: for tests and benchmarks at real size
// where real weights cannot be had.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

// "phi2-2.7b-4e", "stablelm-1.6b-4e", "qwen-1.8b-4e", their "-384" variants with SigLIP, and the dense models
// of stage 2 ("phi2-2.7b", ...).
std::vector<std::string> random_model_names();

struct RandomModelOptions {
  std::string like = "phi2-2.7b-4e";
  bool tiny = false;  // the same family and layout with a few small layers and a small tower
  uint64_t seed = 42;
};

// Writes config.json, preprocessor_config.json, tokenizer files and bfloat16 safetensors shards. `folder`
// must not exist: it appears when everything is written. Needs memory for one tensor only. Throws Usage for
// an unknown name, Io when the folder exists.
void write_random_model(const std::filesystem::path& folder, const RandomModelOptions& options);

}  // namespace moellava
