#include "train/stages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

std::set<std::string> names_of(const std::vector<NamedParameter>& parameters) {
  std::set<std::string> names;
  for (const NamedParameter& parameter : parameters) names.insert(parameter.name);
  return names;
}

const std::set<std::string> kProjector = {
    "model.mm_projector.image_spatial_proj.0.weight", "model.mm_projector.image_spatial_proj.0.bias",
    "model.mm_projector.image_spatial_proj.2.weight", "model.mm_projector.image_spatial_proj.2.bias"};

TEST(Stages, Stage1TrainsTheProjectorOnly) {
  const auto model = testing::tiny_model(/*sparse=*/false);
  EXPECT_EQ(names_of(select_trainable(*model, default_settings(1))), kProjector);
}

TEST(Stages, Stage2TrainsEverythingButTheTower) {
  const auto model = testing::tiny_model(/*sparse=*/false);
  std::set<std::string> expected = kProjector;
  expected.insert({"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"});
  for (const std::string layer : {"0", "1", "2", "3"}) {
    for (const std::string part :
         {"input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
          "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      expected.insert("model.layers." + layer + "." + part + ".weight");
    }
  }
  EXPECT_EQ(names_of(select_trainable(*model, default_settings(2))), expected);
}

TEST(Stages, Stage3TrainsTheFeedForwardsOfAllLayersTheRoutersAndTheProjector) {
  const auto model = testing::tiny_model(/*sparse=*/true);
  std::set<std::string> expected = kProjector;
  for (const std::string part : {"gate_proj", "up_proj", "down_proj"}) {
    for (const std::string layer : {"1", "3"})
      expected.insert("model.layers." + layer + ".mlp." + part + ".weight");
    for (const std::string layer : {"0", "2"}) {
      const std::string moe = "model.layers." + layer + ".mlp.deepspeed_moe.";
      expected.insert(moe + "gate.wg.weight");
      for (const std::string expert : {"0", "1", "2", "3"})
        expected.insert(moe + "experts.deepspeed_experts." + expert + "." + part + ".weight");
    }
  }
  EXPECT_EQ(names_of(select_trainable(*model, default_settings(3))), expected);
}

TEST(Stages, ModulesMayBeNamedAsTheFamilyNamesThem) {
  ModelConfig config = testing::tiny_config(/*sparse=*/true);
  config.family = "phi";
  config.decoder.gated_mlp = false;
  config.decoder.mlp_bias = true;
  MoeLlava model(config);
  TrainSettings settings = default_settings(3);
  const std::set<std::string> canonical = names_of(select_trainable(model, settings));
  settings.moe.train_modules = {"fc1", "fc2", "wg"};
  EXPECT_EQ(names_of(select_trainable(model, settings)), canonical);
  EXPECT_EQ(canonical.count("model.layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.3.up_proj.bias"), 1u);
  for (const std::string& name : canonical) EXPECT_EQ(name.find("image_tower"), std::string::npos) << name;
}

TEST(Stages, TheProjectorMayLearnAtARateOfItsOwn) {
  const auto model = testing::tiny_model(/*sparse=*/false);
  TrainSettings settings = default_settings(2);
  settings.learning_rate = 1e-4;
  settings.mm_projector_lr = 1e-3;
  size_t own = 0;
  for (const NamedParameter& parameter : select_trainable(*model, settings)) {
    const bool projector = parameter.name.find("mm_projector") != std::string::npos;
    own += projector;
    EXPECT_NEAR(parameter.rate, projector ? 10 : 1, 1e-12) << parameter.name;
  }
  EXPECT_GT(own, 0u);
}

TEST(Stages, OnlyTheTrainedRequireGradients) {
  const auto model = testing::tiny_model(/*sparse=*/true);
  select_trainable(*model, default_settings(2));
  const std::set<std::string> trained = names_of(select_trainable(*model, default_settings(3)));
  model->visit([&](const std::string& name, at::Tensor& tensor) {
    EXPECT_EQ(tensor.requires_grad(), trained.count(name) == 1) << name;
  });
}

TEST(Stages, RoutersAreNewInStage3AndLearnNamedOrNot) {
  const auto model = testing::tiny_model(/*sparse=*/true);
  TrainSettings settings = default_settings(3);
  settings.moe.train_modules = {"up_proj"};
  const std::string router = "model.layers.0.mlp.deepspeed_moe.gate.wg.weight";
  EXPECT_EQ(names_of(select_trainable(*model, settings)).count(router), 1u);
  settings.stage = kFinetune;
  EXPECT_EQ(names_of(select_trainable(*model, settings)).count(router), 0u);
  settings.moe.train_modules = {"wg"};
  settings.freeze_mm_mlp_adapter = true;
  EXPECT_EQ(names_of(select_trainable(*model, settings)),
            (std::set<std::string>{router, "model.layers.2.mlp.deepspeed_moe.gate.wg.weight"}));
}

// Adapters, and what the original trains besides.
TEST(Stages, WithLoraTheWeightsStay) {
  TrainSettings settings = default_settings(2);
  settings.lora = {.enable = true, .r = 2};
  const auto dense = testing::tiny_model(/*sparse=*/false);
  add_adapters(
      *dense, adapter_settings(settings.lora), [](const std::string& name) { return name != "lm_head"; }, 1);
  std::set<std::string> expected = kProjector;
  for (const std::string layer : {"0", "1", "2", "3"}) {
    for (const std::string part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                   "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      for (const std::string matrix : {"A", "B"})
        expected.insert("model.layers." + layer + "." + part + ".lora_" + matrix + ".weight");
    }
  }
  EXPECT_EQ(names_of(select_trainable(*dense, settings)), expected);

  settings = default_settings(3);
  settings.lora = {.enable = true, .r = 2};
  settings.freeze_mm_mlp_adapter = true;
  const auto sparse = testing::tiny_model(/*sparse=*/true);
  add_adapters(*sparse, adapter_settings(settings.lora), is_feed_forward_linear, 1);
  const std::set<std::string> trained = names_of(select_trainable(*sparse, settings));
  EXPECT_EQ(trained.size(), 2u + 2 * 3 * (2 + 2 * 4));
  EXPECT_EQ(trained.count("model.layers.0.mlp.deepspeed_moe.gate.wg.weight"), 1u);
  for (const std::string& name : trained)
    EXPECT_TRUE(is_low_rank_parameter(name) || name.ends_with(".wg.weight")) << name;
}

TEST(Stages, FlagsOfLoraAreChecked) {
  const auto message = [](const TrainSettings& settings) -> std::string {
    try {
      load_for_stage(settings);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  TrainSettings settings = default_settings(2);
  settings.lora.r = 8;
  EXPECT_EQ(message(settings), "--lora_r: only with --lora_enable True");
  settings.lora.enable = true;
  settings.moe.ep_size = 2;
  EXPECT_THAT(message(settings),
              HasSubstr("--lora_dropout: not together with --ep_size: found 0.05, expected 0"));
  settings.moe.ep_size = 1;
  settings.lora.weight_path = "no adapter";
  EXPECT_THAT(message(settings), HasSubstr("--lora_r: not together with --lora_weight_path"));
  settings.lora.r.reset();
  EXPECT_THAT(message(settings), HasSubstr("no adapter: no adapter's folder: expected adapter_config.json"));
  settings.stage = 3;
  EXPECT_THAT(message(settings), HasSubstr("--lora_weight_path: not in stage 3"));
  settings = default_settings(2);
  settings.lora.enable = true;
  settings.init_tensors = "somewhere";
  EXPECT_THAT(message(settings), HasSubstr("--init_tensors: not together with --lora_enable"));
}

TEST(Stages, MoeFlagsAreCheckedAgainstTheModel) {
  MoeSettings moe = default_settings(3).moe;
  EXPECT_EQ(moe_config(moe, 5).layers, (std::vector<int64_t>{0, 2, 4}));
  moe.layers = {3, 1, 3};
  EXPECT_EQ(moe_config(moe, 4).layers, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(moe_config(moe, 4).experts, (std::vector<int64_t>{4, 4}));
  auto message = [](const MoeSettings& bad, int64_t layers) -> std::string {
    try {
      moe_config(bad, layers);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(moe, 3), HasSubstr("--moe_layers_idx: no such layer: found 3, expected 0 to 2"));
  moe.num_experts = {2, 8};
  EXPECT_EQ(moe_config(moe, 4).experts, (std::vector<int64_t>{2, 8}));
  moe.num_experts = {2, 8, 4};
  EXPECT_THAT(message(moe, 4),
              HasSubstr("--num_experts: not one number for each MoE layer: found 3 numbers"));
  moe.num_experts = {2, 8};
  moe.top_k_experts = 3;
  EXPECT_THAT(message(moe, 4), HasSubstr("--top_k_experts: more than there are experts: found 3"));
}

}  // namespace
}  // namespace moellava
