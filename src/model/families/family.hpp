// A language-model family is data: how config.json spells the decoder, how tensors are named, and which
// conversation style it was trained with. Canonical names are Llama's; a family lists only where it differs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "model/config.hpp"

namespace moellava {

// Every occurrence of `canonical` in a parameter's name is spelled `file` in the family's checkpoints.
struct Rename {
  std::string_view canonical;
  std::string_view file;
};

enum class LlavaKind { TextOnly, Dense, Moe };

struct Family {
  std::string_view name;        // "phi": model_type is "phi", "llava_phi" or "moe_llava_phi"
  std::string_view class_name;  // "Phi": architectures is "LlavaPhiForCausalLM" or "MoELLaVAPhiForCausalLM"
  std::string_view llava_name = {};        // another name and class in LLaVA's models: "qwen1_5", "Qwen1_5"
  std::string_view llava_class_name = {};  // of "qwen2"
  std::string_view conversation;           // style of text/conversation
  // Another style, of those models whose tokenizer has the end of its answers as a token: "openchat".
  std::string_view conversation_of_token = {};
  std::span<const Rename> renames;
  bool fused_qkv;  // q, k and v are the thirds of one tensor, whose name the renames give to all three
  DecoderConfig (*read)(const JsonObject& json);
  void (*write)(const DecoderConfig& config, Json& json);

  // config.json's model_type and architectures.
  std::string model_type(LlavaKind kind) const;
  std::string architecture(LlavaKind kind) const;
  std::string file_name(std::string_view canonical) const;
};

// By the model_type of config.json; throws BadData listing what is known.
const Family& family_of_model_type(std::string_view model_type, std::string_view where);
const Family& family_by_name(std::string_view name);

// The fields all families share, spelled as Llama spells them, with their ranges checked.
DecoderConfig read_common_decoder(const JsonObject& json);
// A share that is dropped in training, 0 where the file does not say; its range is checked.
double read_dropout(const JsonObject& json, const std::string& key);
void write_common_decoder(const DecoderConfig& config, Json& json);

extern const Family kLlama, kMistral, kPhi, kStableLm, kQwen, kQwen2, kMiniCpm;

}  // namespace moellava
