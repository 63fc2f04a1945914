#include "model/load.hpp"

#include <unistd.h>

#include <fstream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "files/safetensors.hpp"
#include "model/fingerprint.hpp"
#include "model/weights.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::golden;
using testing::random_tensor;

ModelConfig small_config(const std::string& family, bool sparse) {
  ModelConfig config;
  config.family = family;
  config.decoder = testing::tiny_decoder_config_of(family, /*vocab_size=*/264);
  if (sparse) config.moe = testing::tiny_moe_config();
  config.vision = testing::tiny_vision_config();
  config.vision->name = "tiny";
  config.vision->hidden_size = 48;  // as clip_tiny
  config.preprocess.size = 16;
  return config;
}

fs::path fresh_folder(const std::string& name) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("load_test_" + std::to_string(::getpid()) + "_" + name);
  fs::remove_all(folder);
  return folder;
}

fs::path saved(const std::string& family, bool sparse) {
  MoeLlava model(small_config(family, sparse));
  testing::fill_random(model);
  const fs::path folder = fresh_folder(family + (sparse ? "_sparse" : "_dense"));
  save_model(model, *testing::tiny_tokenizer(), folder);
  return folder;
}

std::map<std::string, at::Tensor> parameters(MoeLlava& model) {
  std::map<std::string, at::Tensor> named;
  model.visit([&](const std::string& name, at::Tensor& tensor) { named[name] = tensor; });
  return named;
}

// The tensors of a folder with one changed by `change`.
void rewrite(const fs::path& folder, const std::function<void(std::vector<TensorView>&)>& change) {
  const fs::path path = folder / "model.safetensors";
  const TensorFile file = open_safetensors(path);
  std::vector<TensorView> tensors = file.tensors;
  change(tensors);
  write_safetensors(path, tensors);
}

TEST(Load, EveryFamilyComesBackBitForBit) {
  for (const char* family : {"llama", "mistral", "phi", "stablelm", "qwen", "qwen2", "minicpm"}) {
    SCOPED_TRACE(family);
    MoeLlava model(small_config(family, /*sparse=*/true));
    testing::fill_random(model);
    const fs::path folder = fresh_folder(family);
    save_model(model, *testing::tiny_tokenizer(), folder);
    LoadedModel loaded = load_model(folder);
    const auto expected = parameters(model);
    const auto found = parameters(*loaded.model);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, tensor] : expected) EXPECT_TRUE(found.at(name).equal(tensor)) << name;
    EXPECT_EQ(loaded.model->config().moe.layers, model.config().moe.layers);
    const at::Tensor ids = at::arange(9).view({1, 9});
    const at::Tensor before = model.decoder().forward(model.decoder().embed(ids), {}).hidden;
    EXPECT_TRUE(loaded.model->decoder().forward(loaded.model->decoder().embed(ids), {}).hidden.equal(before));
  }
}

// With what published SigLIP checkpoints carry besides: the head that pools, which nobody runs.
TEST(Load, ASiglipTowerComesBackBitForBit) {
  ModelConfig config = small_config("phi", /*sparse=*/true);
  config.vision->kind = TowerKind::Siglip;
  config.vision->patch_size = 4;
  config.vision->image_size = 13;  // three patches and a rest
  config.vision->select_class_token = true;
  config.vision->norm_eps = 1e-6;
  config.vision->activation = Activation::GeluTanh;
  config.preprocess = default_preprocess(*config.vision);
  MoeLlava model(config);
  testing::fill_random(model);
  const fs::path folder = fresh_folder("siglip");
  save_model(model, *testing::tiny_tokenizer(), folder);
  rewrite(folder, [](std::vector<TensorView>& tensors) {
    TensorView head = tensors.front();
    head.name = "model.image_tower.image_tower.vision_model.head.probe";
    tensors.push_back(head);
  });
  const LoadedModel loaded = load_model(folder);
  const auto expected = parameters(model);
  const auto found = parameters(*loaded.model);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(found.at(name).equal(tensor)) << name;
  const VisionConfig& vision = loaded.model->config().vision.value();
  EXPECT_EQ(vision.kind, TowerKind::Siglip);
  EXPECT_EQ(vision.tokens(), 9);
  EXPECT_EQ(vision.norm_eps, 1e-6);
  EXPECT_FALSE(loaded.model->config().preprocess.resize_shortest_edge);
  EXPECT_EQ(loaded.model->config().preprocess.mean, config.preprocess.mean);
  const at::Tensor pixels = random_tensor({1, 3, 13, 13}, 3);
  EXPECT_TRUE(loaded.model->encode_images(pixels).equal(model.encode_images(pixels)));
}

TEST(Load, UpcyclingCopiesTheFeedForwardIntoEveryExpert) {
  const fs::path folder = saved("llama", /*sparse=*/false);
  LoadedModel dense = load_model(folder);
  MoeConfig moe;
  moe.layers = {0, 2};
  moe.experts = {4, 4};
  LoadedModel sparse = load_model(folder, {.upcycle = moe});
  const auto source = parameters(*dense.model);
  size_t experts = 0;
  for (const auto& [name, tensor] : parameters(*sparse.model)) {
    if (is_router_parameter(name)) {
      const double bound = 1 / std::sqrt(8.0);
      EXPECT_GT(tensor.abs().max().item<double>(), bound / 2);
      EXPECT_LE(tensor.abs().max().item<double>(), bound);
      continue;
    }
    experts += name.find("deepspeed_experts") != std::string::npos;
    EXPECT_TRUE(tensor.equal(source.at(dense_name_of_expert(name)))) << name;
  }
  EXPECT_EQ(experts, 2u * 4 * 3);
  // Equal experts compute what the dense model computes: what stage 3 starts from.
  const at::Tensor ids = at::arange(20).view({1, 20});
  const at::Tensor x = dense.model->decoder().embed(ids);
  EXPECT_TENSORS_CLOSE(sparse.model->decoder().forward(x, {}).hidden,
                       dense.model->decoder().forward(x, {}).hidden);
  EXPECT_THROW(load_model(saved("llama", true), {.upcycle = moe}), Error);
}

TEST(Load, AFingerprintTellsWeightsApart) {
  const fs::path folder = saved("phi", /*sparse=*/true);
  const LoadedModel loaded = load_model(folder);
  const LoadedModel mapped = load_model(folder, {.memory = WeightMemory::AsStored});
  const uint64_t before = weights_fingerprint(*loaded.model);
  EXPECT_EQ(weights_fingerprint(*mapped.model), before);
  loaded.model->visit([](const std::string& name, at::Tensor& tensor) {
    if (name.ends_with("layers.1.mlp.up_proj.weight")) tensor.mul_(1.001);
  });
  EXPECT_NE(weights_fingerprint(*loaded.model), before);
}

TEST(Load, CountsTotalAndActiveParameters) {
  LoadedModel sparse = load_model(saved("llama", true));
  const ParameterCount count = count_parameters(*sparse.model);
  const int64_t expert = 3 * 16 * 24;
  const int64_t router_row = 16;
  EXPECT_EQ(count.total - count.active, 2 * 2 * (expert + router_row));
  EXPECT_LT(count.decoder_total, count.total);
}

TEST(Load, ATowerOfItsOwnTakesThePlaceOfTheCheckpointsCopy) {
  const fs::path folder = saved("phi", true);
  LoadedModel loaded = load_model(folder, {.vision_tower = golden("clip_tiny")});
  EXPECT_EQ(loaded.model->config().vision->image_size, 56);
  EXPECT_EQ(loaded.model->config().preprocess.size, 56);
}

std::string message_of(const fs::path& folder) {
  try {
    load_model(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Load, ListsMissingUnexpectedAndMisshapenTensorsTogether) {
  const fs::path folder = saved("llama", false);
  rewrite(folder, [](std::vector<TensorView>& tensors) {
    for (TensorView& tensor : tensors) {
      if (tensor.name == "model.norm.weight") tensor.name = "model.norm.scale";
      if (tensor.name == "model.layers.0.mlp.up_proj.weight") tensor.shape = {16, 24};
    }
  });
  const std::string message = message_of(folder);
  EXPECT_NE(message.find("1 missing: model.norm.weight"), std::string::npos) << message;
  EXPECT_NE(message.find("1 unexpected: model.norm.scale"), std::string::npos) << message;
  EXPECT_NE(
      message.find("1 with another shape: model.layers.0.mlp.up_proj.weight [16, 24] instead of [24, 16]"),
      std::string::npos)
      << message;
}

TEST(Load, IntegersAreNoWeights) {
  const fs::path folder = saved("llama", false);
  rewrite(folder, [](std::vector<TensorView>& tensors) {
    for (TensorView& tensor : tensors) {
      if (tensor.name == "lm_head.weight") tensor.dtype = DType::I32;
    }
  });
  const std::string message = message_of(folder);
  EXPECT_NE(message.find("1 of integers, which are no weights: lm_head.weight I32"), std::string::npos)
      << message;
}

// Other layers than the tensors have experts in: those that are there and those that are not are named.
TEST(Load, TheExpertsOfTheConfigMustBeThoseOfTheFiles) {
  const fs::path folder = saved("llama", true);
  Json config = read_json(folder / "config.json");
  config["moe"]["moe_layers_idx"] = {0, 1};
  std::ofstream(folder / "config.json") << config.dump();
  const std::string message = message_of(folder);
  EXPECT_NE(message.find("missing: model.layers.1.mlp.deepspeed_moe.gate.wg.weight"), std::string::npos)
      << message;
  EXPECT_NE(message.find("unexpected: "), std::string::npos) << message;
  config["moe"]["moe_layers_idx"] = {0, 2};
  config["moe"]["num_experts"] = {4, 8};
  std::ofstream(folder / "config.json") << config.dump();
  EXPECT_NE(message_of(folder).find("model.layers.2.mlp.deepspeed_moe.gate.wg.weight [4, "),
            std::string::npos)
      << message_of(folder);
}

TEST(Load, RefusesAConfigThatPromisesMoreThanTheFilesHold) {
  const fs::path folder = saved("llama", false);
  std::ifstream in(folder / "config.json");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string field = "\"num_hidden_layers\": 4";
  text.replace(text.find(field), field.size(), "\"num_hidden_layers\": 4000");
  std::ofstream(folder / "config.json") << text;
  EXPECT_NE(message_of(folder).find("missing: model.layers.4.input_layernorm.weight"), std::string::npos)
      << message_of(folder);
}

TEST(Load, AsksForATowerThatNobodyKnows) {
  const fs::path folder = saved("llama", false);
  Json config = read_json(folder / "config.json");
  config.erase("vision_config");
  std::ofstream(folder / "config.json") << config.dump();
  const std::string message = message_of(folder);
  EXPECT_NE(message.find("unknown vision tower: found \"tiny\""), std::string::npos) << message;
  EXPECT_NE(message.find("--vision-tower DIR"), std::string::npos) << message;
}

TEST(Load, SaysWhatIsNotThere) {
  EXPECT_NE(message_of("/nonexistent").find("no such file or folder"), std::string::npos);
  const fs::path folder = fresh_folder("empty");
  fs::create_directories(folder);
  EXPECT_NE(message_of(folder).find("config.json"), std::string::npos);
}

}  // namespace
}  // namespace moellava
