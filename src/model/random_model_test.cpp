#include "model/random_model.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.hpp"
#include "model/load.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

fs::path fresh(const std::string& name) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("random_model_" + std::to_string(::getpid()) + name);
  fs::remove_all(folder);
  return folder;
}

TEST(RandomModel, EveryLayoutLoadsAndRuns) {
  for (const std::string& name : random_model_names()) {
    SCOPED_TRACE(name);
    const fs::path folder = fresh(name);
    write_random_model(folder, {.like = name, .tiny = true});
    for (const WeightMemory memory : {WeightMemory::Float32, WeightMemory::AsStored}) {
      LoadedModel loaded = load_model(folder, {.memory = memory});
      const MoeLlava& model = *loaded.model;
      const ModelConfig& config = model.config();
      EXPECT_EQ(config.moe.layers.size(), name.find("-4e") == std::string::npos ? 0u : 2u);
      const int64_t side = config.vision->image_size;
      const at::Tensor tokens = model.project(model.encode_images(at::ones({1, 3, side, side})));
      EXPECT_EQ(tokens.sizes(), (std::vector<int64_t>{1, config.vision->tokens(), 64}));
      const at::Tensor hidden = model.decoder().forward(tokens, {}).hidden;
      EXPECT_TRUE(at::isfinite(model.decoder().logits(hidden)).all().item<bool>());
    }
  }
}

// Weights that stay in the file's form give what their float32 copies give.
TEST(RandomModel, StoredWeightsComputeTheSame) {
  const fs::path folder = fresh("same");
  write_random_model(folder, {.like = "stablelm-1.6b-4e", .tiny = true});
  const LoadedModel copied = load_model(folder, {.memory = WeightMemory::Float32});
  const LoadedModel stored = load_model(folder, {.memory = WeightMemory::AsStored});
  auto logits = [](const LoadedModel& loaded, int64_t count) {
    const Decoder& decoder = loaded.model->decoder();
    return decoder.logits(decoder.forward(decoder.embed(at::arange(count).view({1, count})), {}).hidden);
  };
  auto error = [&](int64_t count) {
    const at::Tensor expected = logits(copied, count);
    return ((logits(stored, count) - expected).abs().max() / expected.abs().max()).item<double>();
  };
  EXPECT_LE(error(4), 1e-5);
  EXPECT_LE(error(40), 1e-5);
}

TEST(RandomModel, TheSameSeedGivesTheSameBytes) {
  auto parameters = [](uint64_t seed) {
    const fs::path folder = fresh("seed");
    write_random_model(folder, {.tiny = true, .seed = seed});
    LoadedModel loaded = load_model(folder);
    std::vector<at::Tensor> all;
    loaded.model->visit([&](const std::string&, at::Tensor& tensor) { all.push_back(tensor.flatten()); });
    return at::cat(all);
  };
  const at::Tensor first = parameters(1);
  EXPECT_TRUE(first.equal(parameters(1)));
  EXPECT_FALSE(first.equal(parameters(2)));
  EXPECT_GT(first.std().item<double>(), 0.01);
}

TEST(RandomModel, RefusesUnknownNamesAndFoldersThatExist) {
  EXPECT_THROW(write_random_model(fresh("unknown"), {.like = "gpt"}), Error);
  const fs::path folder = fresh("there");
  fs::create_directories(folder);
  EXPECT_THROW(write_random_model(folder, {.tiny = true}), Error);
}

}  // namespace
}  // namespace moellava
