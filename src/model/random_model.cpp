#include "model/random_model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "base/random.hpp"
#include "base/strings.hpp"
#include "base/whole_folder.hpp"
#include "files/safetensors.hpp"
#include "model/families/family.hpp"
#include "model/model_folder.hpp"
#include "model/moe_llava.hpp"
#include "text/byte_level_bpe.hpp"
#include "text/tokenizer_files.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBlock = 1 << 20;  // values made at a time

// The language models, by what differs between their published config.json files.
struct Backbone {
  std::string_view name, family, class_name;
  int64_t hidden, inner, layers, heads, vocabulary, tokens;  // tokens: of the tokenizer, the rest is padding
  double capacity_factor;
};
constexpr Backbone kBackbones[] = {
    {"phi2-2.7b", "phi", "Phi", 2560, 10240, 32, 32, 51200, 50296, 1.5},
    {"stablelm-1.6b", "stablelm", "Stablelm", 2048, 5632, 24, 32, 100352, 100289, 1.5},
    {"qwen-1.8b", "qwen", "QWen", 2048, 11008, 24, 16, 151936, 151851, 1.0}};

struct Layout {
  Backbone backbone;
  bool sparse = true;
  bool siglip = false;
  bool tiny = false;
};

constexpr std::string_view kSparse = "-4e";
constexpr std::string_view kLarge = "-384";

Layout layout_of(const RandomModelOptions& options) {
  std::string_view name = options.like;
  Layout layout;
  layout.tiny = options.tiny;
  layout.siglip = name.ends_with(kLarge);
  if (layout.siglip) name.remove_suffix(kLarge.size());
  layout.sparse = name.ends_with(kSparse);
  if (layout.sparse) name.remove_suffix(kSparse.size());
  for (const Backbone& backbone : kBackbones) {
    if (backbone.name == name) layout.backbone = backbone;
  }
  if (layout.backbone.name.empty()) {
    throw usage_error("--like", "unknown model",
                      {.found = "\"" + printable(options.like) + "\"",
                       .expected = "one of " + joined(random_model_names())});
  }
  if (layout.tiny) {
    Backbone& small = layout.backbone;
    small.hidden = 64;
    small.inner = 256;
    small.layers = 4;
    small.heads = 4;
    small.vocabulary = 320;
    small.tokens = 300;
  }
  return layout;
}

void add_vision(const Layout& layout, Json& json) {
  json["mm_image_tower"] =
      layout.siglip ? "google/siglip-so400m-patch14-384" : "openai/clip-vit-large-patch14-336";
  json["mm_video_tower"] = nullptr;
  json["image_projector_type"] = "mlp2x_gelu";
  json["mm_hidden_size"] = layout.siglip ? 1152 : 1024;
  json["mm_vision_select_layer"] = -2;
  json["mm_vision_select_feature"] = "patch";
  json["image_aspect_ratio"] = "pad";
  json["tokenizer_padding_side"] = "right";
  if (!layout.tiny) return;
  json["mm_hidden_size"] = 32;
  json["vision_config"] = {{"model_type", layout.siglip ? "siglip_vision_model" : "clip_vision_model"},
                           {"hidden_size", 32},
                           {"intermediate_size", 64},
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 2},
                           {"image_size", 56},
                           {"patch_size", 14}};
}

void add_moe(const Backbone& backbone, Json& json) {
  std::vector<int64_t> every_second;
  for (int64_t layer = 0; layer < backbone.layers; layer += 2) every_second.push_back(layer);
  json["moe"] = {{"moe_enable", true},
                 {"moe_mode", "sparse"},
                 {"moe_layers_idx", every_second},
                 {"num_experts", std::vector<int>(every_second.size(), 4)},
                 {"ep_size", 1},
                 {"top_k_experts", 2},
                 {"capacity_factor", backbone.capacity_factor},
                 {"eval_capacity_factor", 2.0},
                 {"min_capacity", 0},
                 {"use_residual", false},
                 {"router_aux_loss_coef", 0.01},
                 {"train_modules", Json::array()}};
}

// What the published config.json says; fields that the family's reader has a default for are left out.
Json config_of(const Layout& layout) {
  const Backbone& backbone = layout.backbone;
  const std::string prefix = layout.sparse ? "MoELLaVA" : "Llava";
  Json json = {{"model_type", (layout.sparse ? "moe_llava_" : "llava_") + std::string(backbone.family)},
               {"architectures", {prefix + std::string(backbone.class_name) + "ForCausalLM"}},
               {"torch_dtype", "bfloat16"},
               {"hidden_size", backbone.hidden},
               {"intermediate_size", backbone.inner},
               {"num_hidden_layers", backbone.layers},
               {"num_attention_heads", backbone.heads},
               {"vocab_size", backbone.vocabulary},
               {"max_position_embeddings", backbone.family == "stablelm" ? 4096 : 2048},
               {"tie_word_embeddings", false}};
  if (backbone.family == "phi") json["partial_rotary_factor"] = 0.4;
  if (backbone.family == "qwen") json["seq_length"] = 8192;
  json["eos_token_id"] = backbone.tokens - 2;
  json["pad_token_id"] = backbone.tokens - 1;
  add_vision(layout, json);
  if (layout.sparse) add_moe(backbone, json);
  return json;
}

// All bytes, and made-up words: no text is ever encoded into them, but the model may write them.
void write_tokenizer(int64_t tokens, const fs::path& folder) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.tokens.emplace_back(byte_spelling(static_cast<unsigned char>(byte)), byte);
  for (auto id = 256; id < tokens - 2; ++id)
    vocabulary.tokens.emplace_back(spell_bytes(" w" + std::to_string(id)), id);
  vocabulary.eos_id = static_cast<int32_t>(tokens - 2);
  vocabulary.pad_id = static_cast<int32_t>(tokens - 1);
  vocabulary.added = {{.text = "<|endoftext|>", .id = *vocabulary.eos_id, .special = true},
                      {.text = "<|pad|>", .id = *vocabulary.pad_id, .special = true}};
  save_tokenizer_folder(vocabulary, folder);
}

uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest even
}

// `count` values of a parameter: uniform with the standard deviation 0.02 of the usual initialisation;
// vectors are norms (ones) and biases (zeros).
void write_values(const std::string& name, size_t dimensions, uint64_t count, uint64_t seed, uint64_t stream,
                  const ByteSink& sink) {
  const float bound = 0.02f * std::sqrt(3.0f);
  const uint16_t constant = to_bfloat16(name.ends_with(".weight") ? 1.0f : 0.0f);
  std::vector<uint16_t> block(std::min<uint64_t>(count, kBlock));
  for (uint64_t done = 0; done < count; done += block.size()) {
    block.resize(std::min<uint64_t>(count - done, kBlock));
    for (size_t i = 0; i < block.size(); ++i) {
      // Four values from each 64 random bits.
      const uint64_t bits = random_bits(seed, stream, (done + i) / 4) >> (i % 4 * 16) & 0xffff;
      const float value = bound * (static_cast<float>(bits) / 32768.0f - 1.0f);
      block[i] = dimensions == 1 ? constant : to_bfloat16(value);
    }
    sink(std::as_bytes(std::span(block)));
  }
}

// Every parameter under its family's name; q, k, v of a family that fuses them as one.
std::vector<TensorSource> tensors_of(MoeLlava& outline, uint64_t seed) {
  const Family& family = family_by_name(outline.config().family);
  std::vector<TensorSource> tensors;
  std::map<std::string, size_t> index;
  outline.visit([&](const std::string& name, at::Tensor& parameter) {
    const std::string file_name = family.file_name(name);
    const auto [at, is_new] = index.emplace(file_name, tensors.size());
    if (is_new) {
      tensors.push_back(
          {.name = file_name, .dtype = DType::BF16, .shape = parameter.sizes().vec(), .write = {}});
    } else {
      tensors[at->second].shape[0] += parameter.size(0);
    }
  });
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto count = static_cast<uint64_t>(c10::multiply_integers(tensors[i].shape));
    tensors[i].write = [name = tensors[i].name, dimensions = tensors[i].shape.size(), count, seed,
                        i](const ByteSink& sink) { write_values(name, dimensions, count, seed, i, sink); };
  }
  return tensors;
}

void write_model_files(const Layout& layout, uint64_t seed, const fs::path& folder) {
  write_file_atomic(folder / "config.json", config_of(layout).dump(2) + "\n");
  const ModelConfig config = read_model_config(folder);
  write_file_atomic(folder / "preprocessor_config.json",
                    write_preprocess_config(config.preprocess).dump(2) + "\n");
  write_tokenizer(layout.backbone.tokens, folder);
  const ShapesOnly shapes_only;
  MoeLlava outline(config);
  std::vector<TensorSource> tensors = tensors_of(outline, seed);
  Progress progress("writing tensors", static_cast<int64_t>(tensors.size()));
  int64_t done = 0;
  for (TensorSource& tensor : tensors) {
    tensor.write = [&progress, &done, write = std::move(tensor.write)](const ByteSink& sink) {
      write(sink);
      progress.update(++done);
    };
  }
  write_safetensors_folder(folder, tensors, kShardBytes);
}

}  // namespace

std::vector<std::string> random_model_names() {
  std::vector<std::string> names;
  for (const Backbone& backbone : kBackbones) {
    for (std::string_view experts : {kSparse, std::string_view()}) {
      for (std::string_view resolution : {std::string_view(), kLarge})
        names.push_back(std::string(backbone.name) + std::string(experts) + std::string(resolution));
    }
  }
  return names;
}

void write_random_model(const fs::path& folder, const RandomModelOptions& options) {
  const Layout layout = layout_of(options);
  write_whole_folder(folder,
                     [&](const fs::path& partial) { write_model_files(layout, options.seed, partial); });
}

}  // namespace moellava
