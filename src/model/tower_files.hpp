// A vision tower's own files: a CLIP or SigLIP folder (config.json, weights, and preprocessor_config.json
// unless pictures are prepared as its kind has them) or the EfficientNet-Lite0 .pth.
#pragma once

#include <filesystem>

#include "files/tensor_file.hpp"
#include "model/weights.hpp"

namespace moellava {

struct TowerFiles {
  VisionConfig config;
  PreprocessConfig preprocess;
  TensorFile tensors;
};

TowerFiles open_tower(const std::filesystem::path& path);
// "model.image_tower.image_tower.vision_model.x" -> "vision_model.x".
std::string tower_file_name(const std::string& parameter);

}  // namespace moellava
