// What a model is, read from config.json by its family; small structs, one for each part.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "image/image.hpp"
#include "model/moe/moe_layer.hpp"
#include "model/padding.hpp"
#include "nn/attention.hpp"
#include "nn/feed_forward.hpp"
#include "nn/norm.hpp"

namespace moellava {

enum class Residual {
  Sequential,
  Parallel
};  // Parallel: attention and feed-forward read the same norm (Phi)

// The closed list of variations of our one decoder.
struct DecoderConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  NormKind norm = NormKind::Rms;
  double norm_eps = 1e-5;
  Residual residual = Residual::Sequential;
  bool gated_mlp = true;
  Activation activation = Activation::Silu;
  bool qkv_bias = false;
  bool out_bias = false;
  bool mlp_bias = false;
  double rotary_fraction = 1.0;
  double rope_theta = 10000;
  int64_t attention_window = 0;    // positions that one sees, itself included; 0: all up to its own
  int64_t dynamic_ntk_length = 0;  // a prompt longer than this turns slower as a whole (Qwen); 0: never
  int64_t logn_length = 0;         // queries beyond it grow with the logarithm of their position; 0: none do
  double embedding_scale = 1;      // of the rows of words, not of pictures (MiniCPM)
  double residual_scale = 1;       // of what each branch adds to the stream (MiniCPM)
  double logit_scale = 1;          // of the last hidden states, before the lm_head (MiniCPM)
  // Shares that are dropped in training: of the embeddings, and of what each branch adds to the stream.
  double embedding_dropout = 0;
  double residual_dropout = 0;
  double attention_dropout = 0;  // of attention's weights: read, but not supported in training
  bool tie_embeddings = false;
  int64_t max_positions = 2048;

  int64_t head_dim() const { return hidden_size / heads; }
};

// The `moe` dict of config.json. Empty `layers`: a dense model.
struct MoeConfig {
  std::string mode = "sparse";   // dense | sparse | first_half | second_half, kept for the record
  std::vector<int64_t> layers;   // which decoder layers are MoE, ascending
  std::vector<int64_t> experts;  // [layers]
  int64_t top_k = 2;
  double capacity_factor = 1.0;
  double eval_capacity_factor = 2.0;
  int64_t min_capacity = 0;
  bool use_residual = false;
  double aux_loss_coef = 0.01;
  std::vector<std::string> train_modules;

  bool enabled() const { return !layers.empty(); }
};
// Layer indices of a mode: "sparse" = 0, 2, 4, ...; throws Usage for an unknown mode.
std::vector<int64_t> moe_layers_of_mode(const std::string& mode, int64_t decoder_layers);

enum class TowerKind { Clip, Siglip, EfficientNetLite0 };

struct VisionConfig {
  TowerKind kind = TowerKind::Clip;
  std::string name;  // mm_image_tower
  int64_t hidden_size = 1024;
  int64_t intermediate_size = 4096;
  int64_t layers = 24;
  int64_t heads = 16;
  int64_t image_size = 336;
  int64_t patch_size = 14;
  double norm_eps = 1e-5;
  Activation activation = Activation::QuickGelu;
  int64_t select_layer = -2;   // index into [embeddings, layer 1, ..., layer L]
  bool geometry_known = true;  // false: only a name, and not one of the published ones
  // mm_vision_select_feature: "cls_patch" keeps the first token, "patch" drops it. That is CLIP's class
  // token; SigLIP has none and loses its first patch, as the original's models were trained.
  bool select_class_token = false;

  bool has_class_token() const { return kind == TowerKind::Clip; }
  int64_t grid() const { return image_size / patch_size; }  // patches a side; what is left over is not seen
  int64_t tokens() const;                                   // visual tokens of one picture
};

struct ModelConfig {
  std::string family;  // "llama", "phi", ...: chooses name table and spelling of the fields
  DecoderConfig decoder;
  MoeConfig moe;
  std::optional<VisionConfig> vision;  // none: a text-only model
  std::string projector = "mlp2x_gelu";
  PreprocessConfig preprocess;
  std::string conversation = "v1";           // style name of text/conversation
  PaddingSide padding = PaddingSide::Right;  // of the shorter prompts of a batch
  std::optional<int64_t> bos_id, eos_id, pad_id;
  std::vector<int64_t> stop_ids;                 // that end an answer, besides the tokenizer's end of text
  std::vector<std::vector<int64_t>> stop_words;  // several ids in a row that do (Qwen)
  std::vector<std::string> unread_fields;        // of config.json, which nothing here knows
};

// config.json of a CLIP or SigLIP vision transformer, or the vision_config of a larger file; model_type tells
// which, and where it is missing, `otherwise`.
VisionConfig read_vision_transformer(const JsonObject& json, TowerKind otherwise);
Json write_vision_transformer(const VisionConfig& config);
// By its published name, "openai/clip-vit-large-patch14-336"; geometry_known is false for others.
VisionConfig vision_of_name(const std::string& name);
// preprocessor_config.json; and what stands in it for a tower, where a folder has none.
PreprocessConfig read_preprocess_config(const JsonObject& json);
Json write_preprocess_config(const PreprocessConfig& config);
PreprocessConfig default_preprocess(const VisionConfig& vision);
MoeConfig read_moe_config(const JsonObject& json, int64_t decoder_layers);
Json write_moe_config(const MoeConfig& moe);
// The tower of the offline demo: EfficientNet-Lite0, 224 px, 7 x 7 tokens of 1280.
VisionConfig efficientnet_lite0_config();

}  // namespace moellava
