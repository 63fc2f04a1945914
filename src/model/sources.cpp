#include "model/sources.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/gguf_model.hpp"
#include "model/model_folder.hpp"
#include "model/projector_file.hpp"
#include "model/spelling.hpp"

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
  sources.canonical = [](const std::string& name) { return name; };
  sources.open_tokenizer = [opened] { return gguf_tokenizer(*opened); };
  return sources;
}

WeightRef folder_weight(const Family& family, const Spelling& spelling, const std::string& name) {
  WeightRef ref{.name = spelling.file_name(family.file_name(name))};
  if (family.fused_qkv && !is_tower_parameter(name)) {
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

// The tokenizer, with the ids that its own files leave out.
std::unique_ptr<Tokenizer> open_folder_tokenizer(const fs::path& folder, const ModelConfig& config) {
  std::unique_ptr<Tokenizer> tokenizer = open_tokenizer_folder(folder);
  if (tokenizer->size() > config.decoder.vocab_size) {
    throw bad_data(folder.string() + ": tokenizer", "has more tokens than the model has embeddings",
                   {.found = std::to_string(tokenizer->size()),
                    .expected = "at most vocab_size " + std::to_string(config.decoder.vocab_size)});
  }
  const auto fill = [&](std::optional<int32_t>& id, const std::optional<int64_t>& fallback) {
    if (!id && fallback && *fallback < tokenizer->size()) id = static_cast<int32_t>(*fallback);
  };
  fill(tokenizer->bos_id, config.bos_id);
  fill(tokenizer->eos_id, config.eos_id);
  fill(tokenizer->pad_id, config.pad_id);
  return tokenizer;
}

Sources open_folder_sources(const fs::path& folder) {
  Sources sources;
  sources.config = read_model_config(folder);
  sources.tensors = open_checkpoint_folder(folder);
  const Family& family = family_by_name(sources.config.family);
  const Spelling& spelling = spelling_of(sources.tensors);
  sources.locate = [&](const std::string& name) { return folder_weight(family, spelling, name); };
  sources.canonical = [&](const std::string& name) { return spelling.canonical_name(name); };
  sources.open_tokenizer = [folder, config = sources.config] {
    return open_folder_tokenizer(folder, config);
  };
  return sources;
}

// The first field of config.json in which two decoders differ, with both values; "" when there is none.
std::string decoder_difference(const ModelConfig& a, const ModelConfig& b) {
  if (a.family != b.family) return "model_type " + a.family + " instead of " + b.family;
  Json left, right;
  family_by_name(a.family).write(a.decoder, left);
  family_by_name(b.family).write(b.decoder, right);
  for (const auto& [key, value] : right.items()) {
    if (!left.contains(key) || left[key] != value)
      return key + " " + (left.contains(key) ? left[key].dump() : "nothing") + " instead of " + value.dump();
  }
  return "";
}

// An adapter's config.json describes the model that it makes of its base: which may gain sight, or experts
// that are copies of its feed-forwards.
void take_adapters_config(Sources& sources, const AdapterFolder& adapter, const std::string& where) {
  ModelConfig& config = sources.config;
  const ModelConfig& own = *adapter.model;
  if (const std::string difference = decoder_difference(own, config); !difference.empty()) {
    throw bad_data(where, "the adapter belongs to another model than its base " + adapter.base.string(),
                   {.found = difference});
  }
  if (config.moe.enabled() && (own.moe.layers != config.moe.layers || own.moe.experts != config.moe.experts))
    throw bad_data(where + ": moe", "other experts than those of its base " + adapter.base.string());
  sources.upcycling = own.moe.enabled() && !config.moe.enabled();
  config.moe = own.moe;
  if (!adapter.conversation.empty()) config.conversation = adapter.conversation;
  if (!own.vision) return;
  if (!config.vision) {
    config.vision = own.vision;
    config.projector = own.projector;
    config.preprocess = own.preprocess;
  }
  config.preprocess.aspect_ratio = own.preprocess.aspect_ratio;
}

void add_adapter(Sources& sources, AdapterFolder adapter, const fs::path& folder) {
  if (adapter.model) take_adapters_config(sources, adapter, (folder / "config.json").string());
  if (adapter.whole) {
    const Family& family = family_by_name(sources.config.family);
    const Spelling& spelling = spelling_of(*adapter.whole);
    sources.locate_whole = [&](const std::string& name) { return folder_weight(family, spelling, name); };
    sources.canonical_whole = [&](const std::string& name) { return spelling.canonical_name(name); };
  }
  sources.adapter = std::move(adapter);
}

// Routers and projector that the base has not must come with the adapter.
void require_whole_parameters(const Sources& sources, const fs::path& folder) {
  if (!sources.adapter || sources.adapter->whole) return;
  const bool gains_sight = sources.config.vision && !sources.had_sight && !sources.projector;
  if (!sources.upcycling && !gains_sight) return;
  throw make_error(ErrorKind::Io, (folder / kNonLoraFile).string(), "no such file",
                   {.hint = std::string("it holds the ") + (gains_sight ? "projector" : "routers") +
                            ", which the base has not"});
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

// Whether the checkpoint itself has a part of the model.
bool holds(const Sources& sources, bool (*is_part)(const std::string& parameter)) {
  const auto& tensors = sources.tensors.tensors;
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const TensorView& tensor) { return is_part(sources.canonical(tensor.name)); });
}

bool adapter_has_projector(const Sources& sources) {
  if (!sources.adapter || !sources.adapter->whole) return false;
  const auto& tensors = sources.adapter->whole->tensors;
  return std::any_of(tensors.begin(), tensors.end(), [&](const TensorView& tensor) {
    return is_projector_parameter(sources.canonical_whole(tensor.name));
  });
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
    if (config.vision && !holds(sources, is_tower_parameter)) {
      throw bad_data(path.string() + ": mm_image_tower", "the weights of the vision tower are not here",
                     {.found = "\"" + printable(config.vision->name) + "\"",
                      .expected = "them in the checkpoint or a folder of this name",
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

// Decides where the projector's weights come from.
void choose_projector(Sources& sources, const fs::path& path, const LoadOptions& options) {
  ModelConfig& config = sources.config;
  fs::path file = options.mm_projector;
  if (file.empty() && config.vision && !holds(sources, is_projector_parameter) &&
      !adapter_has_projector(sources) && fs::exists(path / kProjectorFile))
    file = path / kProjectorFile;
  if (file.empty()) return;
  if (!config.vision) {
    throw usage_error(file.string(), "a projector for a model without a vision tower",
                      {.hint = "--vision-tower DIR gives it one"});
  }
  sources.projector = open_projector_file(file);
  if (!sources.had_sight) config.projector = projector_type_of(*sources.projector);
}

// A picture of another size than the tower's would meet too few or too many positions.
void require_fitting_pictures(const ModelConfig& config, const fs::path& path) {
  if (!config.vision || config.preprocess.size == config.vision->image_size) return;
  throw bad_data(path.string(), "pictures are not made as large as the vision tower takes them",
                 {.found = std::to_string(config.preprocess.size) + " px in preprocessor_config.json",
                  .expected = std::to_string(config.vision->image_size)});
}

}  // namespace

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf";
}

bool Sources::lacks(const std::string& parameter) const {
  return (is_projector_parameter(parameter) && !had_sight && !projector) ||
         (is_router_parameter(parameter) && upcycling);
}

bool Sources::is_new(const std::string& parameter) const {
  return !adapter && lacks(parameter);
}

bool Sources::is_whole_in_adapter(const std::string& parameter) const {
  if (!adapter || (projector && is_projector_parameter(parameter))) return false;
  return lacks(parameter) ||
         (adapter->whole && adapter->whole->find(locate_whole(parameter).name) != nullptr);
}

bool Sources::is_elsewhere(const std::string& parameter) const {
  return (tower && is_tower_parameter(parameter)) || (projector && is_projector_parameter(parameter)) ||
         is_whole_in_adapter(parameter);
}

Sources open_sources(const fs::path& path, const LoadOptions& options) {
  if (!fs::exists(path)) throw make_error(ErrorKind::Io, path.string(), "no such file or folder");
  std::optional<AdapterFolder> adapter;
  if (is_adapter_folder(path)) adapter = open_adapter_folder(path, options.model_base);
  if (!adapter && !options.model_base.empty())
    throw usage_error("--model-base", "only for an adapter", {.found = path.string() + ", a whole model"});
  const fs::path base = adapter ? adapter->base : path;
  Sources sources = is_gguf(base) ? open_gguf_sources(base) : open_folder_sources(base);
  ModelConfig& config = sources.config;
  sources.had_sight = config.vision.has_value();
  if (adapter) add_adapter(sources, std::move(*adapter), path);
  choose_tower(sources, base, options);
  choose_projector(sources, base, options);
  require_whole_parameters(sources, path);
  require_fitting_pictures(config, path);
  if (!options.conversation.empty()) config.conversation = options.conversation;
  if (options.upcycle) {
    if (config.moe.enabled()) {
      throw bad_data(path.string(), "already a mixture of experts",
                     {.expected = "a dense model to copy experts from"});
    }
    config.moe = *options.upcycle;
    sources.upcycling = true;
  }
  if (options.adjust_moe) {
    if (!config.moe.enabled())
      throw bad_data(path.string(), "not a mixture of experts", {.hint = "--stage 3 makes one of it"});
    options.adjust_moe(config.moe);
  }
  return sources;
}

std::vector<SourceJoin> joins_of(const Sources& sources) {
  std::vector<SourceJoin> joins;
  joins.push_back({&sources.tensors,
                   {.wanted =
                        [&sources](const std::string& name) {
                          return !sources.is_new(name) && !sources.is_elsewhere(name);
                        },
                    .locate =
                        [&sources](const std::string& name) {
                          return sources.locate(sources.upcycling ? dense_name_of_expert(name) : name);
                        },
                    .may_be_extra =
                        [&sources](const std::string& tensor) {
                          const std::string name = sources.canonical(tensor);
                          return is_unused_tensor(name) || sources.is_elsewhere(name) ||
                                 (sources.config.decoder.tie_embeddings && name == "lm_head.weight");
                        }}});
  if (sources.tower) {
    joins.push_back(
        {&sources.tower->tensors,
         {.wanted = is_tower_parameter,
          .locate = [](const std::string& name) { return WeightRef{.name = tower_file_name(name)}; },
          .may_be_extra = is_unused_tensor}});
  }
  if (sources.adapter && sources.adapter->whole) {
    joins.push_back(
        {&*sources.adapter->whole,
         {.wanted = [&sources](const std::string& name) { return sources.is_whole_in_adapter(name); },
          .locate = sources.locate_whole,
          .may_be_extra =
              [&sources](const std::string& tensor) {
                return is_unused_tensor(tensor) ||
                       (sources.projector && is_projector_parameter(sources.canonical_whole(tensor)));
              }}});
  }
  if (sources.projector) {
    joins.push_back({&*sources.projector,
                     {.wanted = is_projector_parameter,
                      .locate = [](const std::string& name) { return WeightRef{.name = name}; },
                      .may_be_extra = is_unused_tensor}});
  }
  return joins;
}

}  // namespace moellava
