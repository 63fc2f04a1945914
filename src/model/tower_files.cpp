#include "model/tower_files.hpp"

#include "base/error.hpp"
#include "base/json.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

TowerFiles open_transformer_folder(const fs::path& folder) {
  const fs::path config_path = folder / "config.json";
  const Json json = read_json(config_path);
  const JsonObject config(json, config_path.string());
  const std::string type = config.string_or("model_type", "");
  const bool clip = type == "clip" || type == "clip_vision_model";
  if (!clip && type != "siglip" && type != "siglip_vision_model") {
    throw bad_data(config_path.string() + ": model_type", "unknown vision tower",
                   {.found = "\"" + printable(type) + "\"",
                    .expected = "clip, clip_vision_model, siglip or siglip_vision_model"});
  }
  TowerFiles tower;
  tower.config =
      read_vision_transformer(config.has("vision_config") ? config.object("vision_config") : config,
                              clip ? TowerKind::Clip : TowerKind::Siglip);
  const fs::path preprocess_path = folder / "preprocessor_config.json";
  if (fs::exists(preprocess_path)) {
    const Json preprocess = read_json(preprocess_path);
    tower.preprocess = read_preprocess_config(JsonObject(preprocess, preprocess_path.string()));
  } else {
    tower.preprocess = default_preprocess(tower.config);
  }
  tower.tensors = open_checkpoint_folder(folder);
  return tower;
}

}  // namespace

TowerFiles open_tower(const fs::path& path) {
  if (fs::is_directory(path)) return open_transformer_folder(path);
  TowerFiles tower;
  tower.config = efficientnet_lite0_config();
  tower.preprocess = default_preprocess(tower.config);
  tower.tensors = open_tensor_file(path);
  if (tower.tensors.find("_conv_stem.weight") == nullptr) {
    throw bad_data(
        path.string(), "not a known vision tower",
        {.expected = "a CLIP or SigLIP folder, or the EfficientNet-Lite0 .pth (tensor _conv_stem.weight)"});
  }
  return tower;
}

std::string tower_file_name(const std::string& parameter) {
  constexpr std::string_view kPrefix = "model.image_tower.image_tower.";
  return parameter.starts_with(kPrefix) ? parameter.substr(kPrefix.size()) : parameter;
}

}  // namespace moellava
