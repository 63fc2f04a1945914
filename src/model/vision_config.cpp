// Vision towers and their preprocessing: read, written, and known by name.
#include "base/error.hpp"
#include "model/config.hpp"
#include "model/preprocessing_check.hpp"

namespace moellava {

namespace {

// Published towers, for checkpoints that carry the weights but not the geometry.
struct NamedTower {
  std::string_view name;
  TowerKind kind;
  int64_t hidden, intermediate, layers, heads, image, patch;
};
constexpr NamedTower kTowers[] = {
    {"openai/clip-vit-large-patch14-336", TowerKind::Clip, 1024, 4096, 24, 16, 336, 14},
    {"openai/clip-vit-large-patch14", TowerKind::Clip, 1024, 4096, 24, 16, 224, 14},
    {"openai/clip-vit-base-patch16", TowerKind::Clip, 768, 3072, 12, 12, 224, 16},
    {"openai/clip-vit-base-patch32", TowerKind::Clip, 768, 3072, 12, 12, 224, 32},
    {"google/siglip-so400m-patch14-384", TowerKind::Siglip, 1152, 4304, 27, 16, 384, 14},
    {"google/siglip-so400m-patch14-224", TowerKind::Siglip, 1152, 4304, 27, 16, 224, 14},
    {"google/siglip-base-patch16-224", TowerKind::Siglip, 768, 3072, 12, 12, 224, 16}};

// What Hugging Face's configs leave out when it has these values.
VisionConfig vision_transformer(TowerKind kind) {
  VisionConfig config;
  config.kind = kind;
  const bool siglip = kind == TowerKind::Siglip;
  config.norm_eps = siglip ? 1e-6 : 1e-5;
  config.activation = siglip ? Activation::GeluTanh : Activation::QuickGelu;
  config.hidden_size = 768;
  config.intermediate_size = 3072;
  config.layers = config.heads = 12;
  config.image_size = 224;
  config.patch_size = siglip ? 16 : 32;
  return config;
}

TowerKind kind_of_model_type(const JsonObject& json, TowerKind otherwise) {
  const std::string type = json.string_or("model_type", "");
  if (type.empty()) return otherwise;
  if (type == "clip_vision_model") return TowerKind::Clip;
  if (type == "siglip_vision_model") return TowerKind::Siglip;
  throw bad_data(
      json.where() + ": model_type", "unknown vision tower",
      {.found = "\"" + printable(type) + "\"", .expected = "clip_vision_model or siglip_vision_model"});
}

void check_geometry(const VisionConfig& config, const std::string& where) {
  if (config.hidden_size % config.heads != 0) {
    throw bad_data(where + ": hidden_size", "out of range",
                   {.found = std::to_string(config.hidden_size),
                    .expected = "a multiple of num_attention_heads " + std::to_string(config.heads)});
  }
  const bool clip = config.kind == TowerKind::Clip;
  const bool fits = clip ? config.image_size % config.patch_size == 0 : config.grid() >= 2;
  if (!fits) {
    throw bad_data(where + ": image_size", "out of range",
                   {.found = std::to_string(config.image_size),
                    .expected = std::string(clip ? "a multiple of" : "at least twice the") + " patch_size " +
                                std::to_string(config.patch_size)});
  }
}

}  // namespace

int64_t VisionConfig::tokens() const {
  if (kind == TowerKind::EfficientNetLite0) return 49;
  return grid() * grid() + (has_class_token() ? 1 : 0) - (select_class_token ? 0 : 1);
}

VisionConfig read_vision_transformer(const JsonObject& json, TowerKind otherwise) {
  VisionConfig config = vision_transformer(kind_of_model_type(json, otherwise));
  config.hidden_size = json.integer_or("hidden_size", config.hidden_size, 1, 1 << 16);
  config.intermediate_size = json.integer_or("intermediate_size", config.intermediate_size, 1, 1 << 18);
  config.layers = json.integer_or("num_hidden_layers", config.layers, 1, 1024);
  config.heads = json.integer_or("num_attention_heads", config.heads, 1, 1024);
  config.image_size = json.integer_or("image_size", config.image_size, 1, 8192);
  config.patch_size = json.integer_or("patch_size", config.patch_size, 1, 1024);
  config.norm_eps = json.number_or("layer_norm_eps", config.norm_eps);
  if (json.has("hidden_act"))
    config.activation = activation_by_name(json.string("hidden_act"), json.where() + ": hidden_act");
  check_geometry(config, json.where());
  return config;
}

Json write_vision_transformer(const VisionConfig& config) {
  return {{"model_type", config.kind == TowerKind::Clip ? "clip_vision_model" : "siglip_vision_model"},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"image_size", config.image_size},
          {"patch_size", config.patch_size},
          {"layer_norm_eps", config.norm_eps},
          {"hidden_act", activation_name(config.activation)}};
}

VisionConfig vision_of_name(const std::string& name) {
  if (name == "efficientnet-lite0") return efficientnet_lite0_config();
  // The original chooses the tower's class by the beginning of its name.
  VisionConfig config = vision_transformer(name.starts_with("google") ? TowerKind::Siglip : TowerKind::Clip);
  config.name = name;
  config.geometry_known = false;
  for (const NamedTower& tower : kTowers) {
    if (tower.name != name) continue;
    config.geometry_known = true;
    config.hidden_size = tower.hidden;
    config.intermediate_size = tower.intermediate;
    config.layers = tower.layers;
    config.heads = tower.heads;
    config.image_size = tower.image;
    config.patch_size = tower.patch;
  }
  return config;
}

VisionConfig efficientnet_lite0_config() {
  VisionConfig config;
  config.kind = TowerKind::EfficientNetLite0;
  config.name = "efficientnet-lite0";
  config.hidden_size = 1280;
  config.image_size = 224;
  return config;
}

PreprocessConfig read_preprocess_config(const JsonObject& json) {
  PreprocessConfig config;
  // Old files give a number, newer ones {"shortest_edge": n} or {"height": n, "width": n}.
  if (json.has("size") && json.at("size").is_object()) {
    const JsonObject size = json.object("size");
    config.resize_shortest_edge = size.has("shortest_edge");
    config.size =
        static_cast<int>(size.integer(config.resize_shortest_edge ? "shortest_edge" : "height", 1, 8192));
  } else {
    config.size = static_cast<int>(json.integer("size", 1, 8192));
  }
  config.center_crop = json.boolean_or("do_center_crop", config.resize_shortest_edge);
  auto three = [&](std::string_view key, std::array<float, 3>& values) {
    const Json& list = json.at(key);
    if (!list.is_array() || list.size() != 3)
      throw bad_data(json.where() + ": " + std::string(key), "not a list of 3 numbers");
    for (size_t i = 0; i < 3; ++i) {
      if (!list[i].is_number())
        throw bad_data(json.where() + ": " + std::string(key), "not a list of 3 numbers");
      values[i] = list[i].get<float>();
    }
  };
  three("image_mean", config.mean);
  three("image_std", config.std);
  for (float value : config.std) {
    if (!(value > 0))
      throw bad_data(json.where() + ": image_std", "out of range", {.expected = "positive numbers"});
  }
  check_preprocessing(json, config);
  return config;
}

Json write_preprocess_config(const PreprocessConfig& config) {
  Json size;
  if (config.resize_shortest_edge) {
    size["shortest_edge"] = config.size;
  } else {
    size["height"] = size["width"] = config.size;
  }
  return {{"size", size},
          {"crop_size", {{"height", config.size}, {"width", config.size}}},
          {"do_center_crop", config.center_crop},
          {"do_resize", true},
          {"do_rescale", true},
          {"do_normalize", true},
          {"resample", 3},
          {"rescale_factor", 1.0 / 255},
          {"image_mean", config.mean},
          {"image_std", config.std}};
}

PreprocessConfig default_preprocess(const VisionConfig& vision) {
  PreprocessConfig config;
  config.size = static_cast<int>(vision.image_size);
  if (vision.kind == TowerKind::Siglip) {
    config.resize_shortest_edge = config.center_crop = false;
    config.mean = config.std = {0.5f, 0.5f, 0.5f};
  } else if (vision.kind == TowerKind::EfficientNetLite0) {
    // (pixel - 127) / 128, as the published weights were trained.
    config.mean = {127.0f / 255, 127.0f / 255, 127.0f / 255};
    config.std = {128.0f / 255, 128.0f / 255, 128.0f / 255};
  }
  return config;
}

}  // namespace moellava
