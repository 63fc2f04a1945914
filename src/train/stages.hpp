// MoE-Tuning's stages, three rows of one table: what is trained, and where the weights come from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/load.hpp"
#include "train/adamw.hpp"
#include "train/settings.hpp"

namespace moellava {

struct Stage {
  std::string_view purpose;
  std::string_view starts_from;
  // Whether the parameter of this canonical name, spelled `family_name` in the family's files, is trained.
  bool (*trains)(const std::string& name, const std::string& family_name, const MoeSettings& moe);
};

const Stage& stage_by_number(int number);  // 1, 2, 3 or kFinetune

// The model that the stage starts from. Stage 3 turns a dense model into a sparse one, every expert a copy of
// its layer's feed-forward; finetune takes a sparse one as it is, but for how its experts work. With LoRA the
// decoder gets new adapters.
LoadedModel load_for_stage(const TrainSettings& settings);
// The same without weights but those of adapters.
LoadedModel outline_for_stage(const TrainSettings& settings);

// Turns gradients on for the stage's parameters, off for all others, and returns the former. With adapters
// (LoRA) these are the adapters, and of the rest those that the original trains besides: projector and
// routers.
std::vector<NamedParameter> select_trainable(MoeLlava& model, const TrainSettings& settings);

// The `moe` dict that the flags describe for a decoder of so many layers; throws Usage naming the flag.
MoeConfig moe_config(const MoeSettings& moe, int64_t decoder_layers);

// Puts what the flags say about the experts' work, not their number, into a model's `moe` dict; throws Usage
// when a layer has too few experts.
void apply_expert_work(const MoeSettings& moe, MoeConfig& config);

}  // namespace moellava
