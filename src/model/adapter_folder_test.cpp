#include "model/adapter_folder.hpp"

#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include "files/safetensors.hpp"
#include "model/load.hpp"
#include "model/weights.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

at::Tensor logits_of(const MoeLlava& model) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(9).view({1, 9});
  return model.decoder().logits(model.decoder().forward(model.decoder().embed(ids), {}).hidden);
}

class AdapterFolderTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("adapter_folder_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    ModelConfig config;
    config.family = GetParam();
    config.decoder = testing::tiny_decoder_config_of(config.family, /*vocab_size=*/264);
    config.vision = testing::tiny_vision_config();
    config.vision->name = "tiny";
    config.preprocess.size = 16;
    MoeLlava dense(config);
    testing::fill_random(dense);
    save_model(dense, *testing::tiny_tokenizer(), base());
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path base() const { return folder_ / "base"; }
  fs::path adapter() const { return folder_ / "adapter"; }

  // The base with experts and adapters that are as if they had been trained, saved.
  LoadedModel trained(const AdapterSettings& settings, bool (*wanted)(const std::string&)) {
    LoadedModel loaded = load_model(base(), {.upcycle = testing::tiny_moe_config()});
    add_adapters(*loaded.model, settings, wanted, 1)->probability = 0;  // as in inference
    uint64_t stream = 50;
    loaded.model->visit([&](const std::string& name, at::Tensor& tensor) {
      const bool moved =
          is_low_rank_parameter(name) || is_router_parameter(name) || is_projector_parameter(name);
      if (moved) tensor.copy_(testing::random_tensor(tensor.sizes(), ++stream) * 0.3);
    });
    save_adapter(*loaded.model, settings, base().string(), adapter());
    return loaded;
  }

  fs::path folder_;
};

bool everywhere_but_head(const std::string& name) {
  return name != "lm_head";
}

TEST_P(AdapterFolderTest, ComesBackBitForBitOnItsBase) {
  for (const bool all : {true, false}) {
    const AdapterSettings settings{.rank = 3, .alpha = 5, .dropout = 0.1, .rank_stabilised = all};
    const LoadedModel expected = trained(settings, all ? everywhere_but_head : is_feed_forward_linear);
    for (const WeightMemory memory : {WeightMemory::Float32, WeightMemory::AsStored}) {
      const LoadedModel found = load_model(adapter(), {.memory = memory});
      EXPECT_TENSORS_CLOSE(logits_of(*found.model), logits_of(*expected.model));
      EXPECT_EQ(found.adapters->rank, 3);
      EXPECT_EQ(found.adapters->alpha, 5);
      EXPECT_EQ(found.adapters->dropout, 0.1);
      EXPECT_EQ(found.adapters->rank_stabilised, all);
    }
    std::map<std::string, at::Tensor> parameters;
    expected.model->visit([&](const std::string& name, at::Tensor& tensor) { parameters[name] = tensor; });
    load_model(adapter()).model->visit([&](const std::string& name, at::Tensor& tensor) {
      EXPECT_TRUE(tensor.equal(parameters.at(name))) << name;
    });
  }
}

// What another tool must know to put the adapters where they are.
TEST_P(AdapterFolderTest, TheTargetsAreTheAdaptedModulesAndNoOthers) {
  trained({.rank = 3}, is_feed_forward_linear);
  const AdapterConfig config = read_adapter_config(adapter() / "adapter_config.json");
  const TensorFile file = open_safetensors(adapter() / "adapter_model.safetensors");
  size_t targeted = 0;
  for (const TensorView& tensor : file.tensors) {
    const std::string module = tensor.name.substr(0, tensor.name.find(".lora_"));
    EXPECT_TRUE(config.targets_module(module)) << module;
    ++targeted;
  }
  EXPECT_GT(targeted, 0u);
  for (const char* attention : {"model.layers.0.self_attn.o_proj", "model.layers.0.self_attn.dense",
                                "transformer.h.0.attn.c_proj", "transformer.h.1.attn.c_attn", "lm_head"})
    EXPECT_FALSE(config.targets_module(attention)) << attention;
}

TEST_P(AdapterFolderTest, GoesOnWithRanksOfItsOwn) {
  LoadedModel loaded = trained({.rank = 3, .alpha = 5}, is_feed_forward_linear);
  loaded.model->decoder().visit_linears([](const std::string& name, Linear& linear) {
    if (name != "model.layers.1.mlp.up_proj") return;
    linear.low_rank->a = testing::random_tensor({2, linear.weight.size(1)}, 90);
    linear.low_rank->b = testing::random_tensor({linear.weight.size(0), 2}, 91);
    linear.low_rank->scale = 4;
  });
  save_adapter(*loaded.model, {.rank = 3, .alpha = 5}, base().string(), adapter());
  EXPECT_TENSORS_CLOSE(logits_of(*load_model(adapter()).model), logits_of(*loaded.model));
}

INSTANTIATE_TEST_SUITE_P(Families, AdapterFolderTest, ::testing::Values("llama", "phi", "qwen"));

// Qwen's q, k and v are one module with one A.
TEST(AdapterFolder, FusedProjectionsAreOneModule) {
  ModelConfig config;
  config.family = "qwen";
  config.decoder = testing::tiny_decoder_config_of("qwen", /*vocab_size=*/264);
  MoeLlava model(config);
  testing::fill_random(model);
  add_adapters(model, {.rank = 3}, everywhere_but_head, 1);
  const fs::path folder = fs::path(::testing::TempDir()) / ("adapter_fused_" + std::to_string(::getpid()));
  save_adapter(model, {.rank = 3}, "base", folder);
  const TensorFile file = open_safetensors(folder / "adapter_model.safetensors");
  const std::string module = "base_model.model.transformer.h.0.attn.c_attn.lora_";
  ASSERT_NE(file.find(module + "A.weight"), nullptr);
  EXPECT_EQ(file.find(module + "A.weight")->shape, (std::vector<int64_t>{3, 16}));
  EXPECT_EQ(file.find(module + "B.weight")->shape, (std::vector<int64_t>{48, 3}));
  EXPECT_FALSE(fs::exists(folder / kNonLoraFile));  // a dense model that sees nothing has none
  fs::remove_all(folder);
}

}  // namespace
}  // namespace moellava
