#include "model/adapter_tensors.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "files/safetensors.hpp"
#include "tests/tiny_model.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const std::string kUp = "model.layers.1.mlp.up_proj";
const float kZeros[24 * 16] = {};

TensorView zeros(const std::string& name, const std::vector<int64_t>& shape, DType dtype = DType::F32) {
  TensorView view{.name = name, .dtype = dtype, .shape = shape, .data = {}};
  view.data = std::as_bytes(std::span(kZeros)).first(*dtype_bytes(dtype, view.numel()));
  return view;
}

// Rank 3 at every up_proj of the tiny dense model, [24, 16].
TensorFile whole_adapter() {
  TensorFile file;
  for (const char* layer : {"0", "1", "2", "3"}) {
    const std::string module = std::string("model.layers.") + layer + ".mlp.up_proj";
    file.tensors.push_back(zeros(module + ".lora_A.weight", {3, 16}));
    file.tensors.push_back(zeros(module + ".lora_B.weight", {24, 3}));
  }
  return file;
}

AdapterConfig config_of_it() {
  AdapterConfig config;
  config.settings.rank = 3;
  config.targets = {"up_proj"};
  return config;
}

std::string problems(const TensorFile& file, const AdapterConfig& config = config_of_it()) {
  const ShapesOnly shapes_only;
  MoeLlava outline(testing::tiny_config(/*sparse=*/false));
  return adapter_problems(outline, file, config);
}

void drop(TensorFile& file, const std::string& begins) {
  std::erase_if(file.tensors, [&](const TensorView& tensor) { return tensor.name.starts_with(begins); });
}

TEST(AdapterTensors, FitsWithAndWithoutAnAdaptersName) {
  TensorFile file = whole_adapter();
  EXPECT_EQ(problems(file), "");
  for (TensorView& tensor : file.tensors) tensor.name.insert(tensor.name.rfind('.'), ".default");
  EXPECT_EQ(problems(file), "");
}

TEST(AdapterTensors, WhatIsMissingIsListed) {
  TensorFile file = whole_adapter();
  drop(file, kUp + ".lora_A");
  EXPECT_EQ(problems(file), "1 missing: " + kUp + ".lora_A.weight");
  drop(file, kUp + ".lora_B");
  EXPECT_EQ(problems(file), "1 missing: " + kUp + ".lora_*");
  file.tensors.clear();
  EXPECT_THAT(problems(file), HasSubstr("4 missing: "));
  AdapterConfig pattern = config_of_it();
  pattern.targets.clear();
  EXPECT_EQ(problems(file, pattern), "1 missing: any adapter");
}

TEST(AdapterTensors, ShapesAreThoseOfTheModelAndTheRank) {
  TensorFile file = whole_adapter();
  file.tensors[2].shape = {2, 16};
  EXPECT_EQ(problems(file), "1 with another shape: " + kUp + ".lora_A.weight [2, 16] instead of [3, 16]");
  file.tensors[2].shape = {3, 48};  // of a wider model
  EXPECT_EQ(problems(file), "1 with another shape: " + kUp + ".lora_A.weight [3, 48] instead of [3, 16]");
  file.tensors[2].shape = {};
  EXPECT_THAT(problems(file), HasSubstr("[] instead of [3, 16]"));
  AdapterConfig config = config_of_it();
  config.ranks["layers.1.mlp.up_proj"] = 4;
  EXPECT_THAT(problems(whole_adapter(), config), HasSubstr("2 with another shape: "));
}

TEST(AdapterTensors, WhatTheModelHasNotIsListed) {
  const std::pair<std::string, std::string> cases[] = {
      {"model.layers.7.mlp.up_proj.lora_A.weight", "1 unexpected: model.layers.7.mlp.up_proj.lora_*"},
      {"model.layers.1.mlp.gate_proj.lora_A.weight",
       "1 unexpected: model.layers.1.mlp.gate_proj.lora_* (not among target_modules)"},
      {kUp + ".lora_magnitude_vector", "1 unexpected: " + kUp + ".lora_magnitude_vector"},
      {kUp + ".lora_A.bias", "1 unexpected: " + kUp + ".lora_A.bias"},
      {kUp + ".lora_A.one.two.weight", "1 unexpected: " + kUp + ".lora_A.one.two.weight"},
      {kUp + ".lora_A.other.weight", "1 unexpected: " + kUp + ".lora_A.other.weight (twice)"},
      {"model.mm_projector.image_spatial_proj.0.lora_A.weight", "1 unexpected: model.mm_projector"},
      {"lora_A.weight", "1 unexpected: "},
      {"", "1 unexpected: "}};
  for (const auto& [name, expected] : cases) {
    TensorFile file = whole_adapter();
    file.tensors.push_back(zeros(name, {3, 16}));
    EXPECT_THAT(problems(file), HasSubstr(expected)) << name;
  }
}

TEST(AdapterTensors, IntegersAreNoWeights) {
  TensorFile file = whole_adapter();
  file.tensors[2] = zeros(kUp + ".lora_A.weight", {3, 16}, DType::I32);
  EXPECT_EQ(problems(file), "1 of integers, which are no weights: " + kUp + ".lora_A.weight I32");
}

TEST(AdapterTensors, TwoTensorsOfOneNameBehindTheWrapperAreRefused) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) /
                                     ("adapter_tensors_" + std::to_string(::getpid()) + ".safetensors");
  write_safetensors(path, std::vector{zeros("base_model.model.x", {2}), zeros("y", {2})});
  const TensorFile file = open_wrapped_tensors(path);
  EXPECT_NE(file.find("x"), nullptr);
  EXPECT_NE(file.find("y"), nullptr);
  write_safetensors(path, std::vector{zeros("base_model.model.x", {2}), zeros("x", {2})});
  EXPECT_THROW(open_wrapped_tensors(path), Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace moellava
