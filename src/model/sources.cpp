#include "model/sources.hpp"

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/gguf_model.hpp"
#include "model/model_folder.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

Sources open_gguf_sources(const fs::path& path) {
  const auto opened = std::make_shared<const GgufFile>(open_gguf(path));
  const GgufFile& file = *opened;
  Sources sources;
  sources.config = gguf_model_config(file);
  sources.tensors = file.tensors;
  sources.locate = [decoder = sources.config.decoder](const std::string& name) {
    return gguf_weight(name, decoder);
  };
  sources.open_tokenizer = [opened] { return gguf_tokenizer(*opened); };
  return sources;
}

WeightRef folder_weight(const Family& family, const std::string& name) {
  WeightRef ref{.name = family.file_name(name)};
  if (family.fused_qkv) {
    constexpr std::string_view kFused[] = {".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."};
    for (int64_t part = 0; part < 3; ++part) {
      if (name.find(kFused[part]) != std::string::npos) {
        ref.part = part;
        ref.parts = 3;
      }
    }
  }
  return ref;
}

Sources open_folder_sources(const fs::path& folder) {
  Sources sources;
  sources.config = read_model_config(folder);
  sources.tensors = open_checkpoint_folder(folder);
  const Family& family = family_by_name(sources.config.family);
  sources.locate = [&family](const std::string& name) { return folder_weight(family, name); };
  sources.open_tokenizer = [folder] { return open_tokenizer_folder(folder); };
  return sources;
}

// The folder that mm_image_tower names, relative to here or to the checkpoint and the two folders above it.
std::optional<fs::path> find_tower_folder(const std::string& name, const fs::path& checkpoint) {
  if (name.empty() || fs::path(name).is_absolute()) return std::nullopt;
  const fs::path base = fs::weakly_canonical(checkpoint);
  for (const fs::path& root : {fs::path("."), base, base.parent_path(), base.parent_path().parent_path()}) {
    if (fs::exists(root / name / "config.json")) return root / name;
  }
  return std::nullopt;
}

// Decides which tower the model gets and where its weights come from.
void choose_tower(Sources& sources, const fs::path& path, const LoadOptions& options) {
  ModelConfig& config = sources.config;
  fs::path tower_path = options.vision_tower;
  if (tower_path.empty() && config.vision && config.vision->kind != TowerKind::EfficientNetLite0) {
    tower_path = find_tower_folder(config.vision->name, path).value_or(fs::path());
  }
  if (tower_path.empty()) {
    if (config.vision && !config.vision->geometry_known) {
      throw bad_data(path.string() + ": mm_image_tower", "unknown vision tower",
                     {.found = "\"" + printable(config.vision->name) + "\"",
                      .expected = "a folder of this name, a published CLIP, or a vision_config",
                      .hint = "--vision-tower DIR names the folder"});
    }
    return;
  }
  sources.tower = open_tower(tower_path);
  VisionConfig vision = sources.tower->config;
  if (config.vision) {
    vision.name = config.vision->name;
    vision.select_layer = config.vision->select_layer;
    vision.select_class_token = config.vision->select_class_token;
  } else {
    config.projector = options.projector;
    if (vision.name.empty()) vision.name = tower_path.filename().string();
  }
  config.vision = vision;
  const AspectRatio aspect_ratio = config.preprocess.aspect_ratio;
  config.preprocess = sources.tower->preprocess;
  config.preprocess.aspect_ratio = aspect_ratio;
}

}  // namespace

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf";
}

bool Sources::is_new(const std::string& parameter) const {
  return (is_projector_parameter(parameter) && !had_sight) || (is_router_parameter(parameter) && upcycling);
}

Sources open_sources(const fs::path& path, const LoadOptions& options) {
  if (!fs::exists(path)) throw make_error(ErrorKind::Io, path.string(), "no such file or folder");
  Sources sources = is_gguf(path) ? open_gguf_sources(path) : open_folder_sources(path);
  ModelConfig& config = sources.config;
  sources.had_sight = config.vision.has_value();
  choose_tower(sources, path, options);
  if (!options.conversation.empty()) config.conversation = options.conversation;
  if (options.upcycle) {
    if (config.moe.enabled()) {
      throw bad_data(path.string(), "already a mixture of experts",
                     {.expected = "a dense model to copy experts from"});
    }
    config.moe = *options.upcycle;
    sources.upcycling = true;
  }
  return sources;
}

std::vector<SourceJoin> joins_of(const Sources& sources) {
  const bool separate_tower = sources.tower.has_value();
  std::vector<SourceJoin> joins;
  joins.push_back({&sources.tensors,
                   {.wanted =
                        [&sources, separate_tower](const std::string& name) {
                          return !sources.is_new(name) && !(separate_tower && is_tower_parameter(name));
                        },
                    .locate =
                        [&sources](const std::string& name) {
                          return sources.locate(sources.upcycling ? dense_name_of_expert(name) : name);
                        },
                    .may_be_extra =
                        [&sources, separate_tower](const std::string& name) {
                          return is_unused_tensor(name) || (separate_tower && is_tower_parameter(name)) ||
                                 (sources.config.decoder.tie_embeddings && name == "lm_head.weight");
                        }}});
  if (separate_tower) {
    joins.push_back(
        {&sources.tower->tensors,
         {.wanted = is_tower_parameter,
          .locate = [](const std::string& name) { return WeightRef{.name = tower_file_name(name)}; },
          .may_be_extra = is_unused_tensor}});
  }
  return joins;
}

}  // namespace moellava
