#include "model/spelling.hpp"

#include <algorithm>

namespace moellava {

namespace {

// What the canonical names are; listed so that they are recognised.
constexpr Rename kMoeLlava[] = {
    {"model.mm_projector.image_spatial_proj.", "model.mm_projector.image_spatial_proj."},
    {"model.image_tower.image_tower.", "model.image_tower.image_tower."}};
constexpr Rename kLlava15[] = {{"model.mm_projector.image_spatial_proj.", "model.mm_projector."},
                               {"model.image_tower.image_tower.", "model.vision_tower.vision_tower."}};
// transformers' LlavaForConditionalGeneration, as it always wrote its files ...
constexpr Rename kLlavaHf[] = {
    {"model.mm_projector.image_spatial_proj.0.", "multi_modal_projector.linear_1."},
    {"model.mm_projector.image_spatial_proj.2.", "multi_modal_projector.linear_2."},
    {"model.image_tower.image_tower.", "vision_tower."},
    {"model.", "language_model.model."},
    {"lm_head.", "language_model.lm_head."}};
// ... and as its modules are called since version 4.52.
constexpr Rename kLlavaHfModules[] = {
    {"model.mm_projector.image_spatial_proj.0.", "model.multi_modal_projector.linear_1."},
    {"model.mm_projector.image_spatial_proj.2.", "model.multi_modal_projector.linear_2."},
    {"model.image_tower.image_tower.", "model.vision_tower."},
    {"model.", "model.language_model."}};

// A beginning of an earlier one may hold that of a later one, so the order matters.
constexpr Spelling kSpellings[] = {{"MoE-LLaVA", kMoeLlava},
                                   {"LLaVA 1.5", kLlava15},
                                   {"llava-hf", kLlavaHf},
                                   {"llava-hf since transformers 4.52", kLlavaHfModules}};

std::string with_beginning(std::string_view name, std::string_view old, std::string_view fresh) {
  return std::string(fresh).append(name.substr(old.size()));
}

}  // namespace

std::string Spelling::file_name(std::string_view canonical) const {
  for (const Rename& rename : beginnings) {
    if (canonical.starts_with(rename.canonical))
      return with_beginning(canonical, rename.canonical, rename.file);
  }
  return std::string(canonical);
}

std::string Spelling::canonical_name(std::string_view file) const {
  for (const Rename& rename : beginnings) {
    if (file.starts_with(rename.file)) return with_beginning(file, rename.file, rename.canonical);
  }
  return std::string(file);
}

const Spelling& spelling_of(const TensorFile& file) {
  for (const Spelling& spelling : kSpellings) {
    const auto shows = [&](const TensorView& tensor) {
      return std::any_of(spelling.beginnings.begin(), spelling.beginnings.end(),
                         [&](const Rename& rename) { return tensor.name.starts_with(rename.file); });
    };
    if (std::any_of(file.tensors.begin(), file.tensors.end(), shows)) return spelling;
  }
  return kSpellings[0];
}

}  // namespace moellava
