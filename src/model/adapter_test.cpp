#include "model/adapter.hpp"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "model/weights.hpp"
#include "tests/pretend_device.hpp"
#include "tests/tiny_model.hpp"

namespace moellava {
namespace {

ModelConfig config_of(const std::string& family, bool sparse) {
  ModelConfig config = testing::tiny_config(sparse);
  config.family = family;
  config.decoder = testing::tiny_decoder_config_of(family);
  return config;
}

at::Tensor logits_of(const MoeLlava& model) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(9).view({1, 9});
  return model.decoder().logits(model.decoder().forward(model.decoder().embed(ids), {}).hidden);
}

bool everywhere(const std::string&) {
  return true;
}

std::map<std::string, LowRank> adapters_of(MoeLlava& model) {
  std::map<std::string, LowRank> adapters;
  model.decoder().visit_linears([&](const std::string& name, Linear& linear) {
    if (linear.low_rank) adapters[name] = *linear.low_rank;
  });
  return adapters;
}

// B as if it had been trained.
void fill_b(MoeLlava& model) {
  uint64_t stream = 100;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    if (name.ends_with(".lora_B.weight"))
      tensor.copy_(testing::random_tensor(tensor.sizes(), ++stream) * 0.3);
  });
}

TEST(Adapter, AddsNothingAtFirstToTheBit) {
  for (const char* family : {"llama", "phi", "qwen"}) {
    MoeLlava model(config_of(family, /*sparse=*/true));
    testing::fill_random(model);
    const at::Tensor before = logits_of(model);
    add_adapters(model, {.rank = 3, .dropout = 0}, everywhere, 1);
    EXPECT_FALSE(adapters_of(model).empty());
    EXPECT_TRUE(logits_of(model).equal(before)) << family;
  }
}

TEST(Adapter, GoesWhereTheModelGoes) {
  for (const char* family : {"llama", "qwen"}) {  // qwen's q, k and v share one A
    MoeLlava model(config_of(family, /*sparse=*/true));
    testing::fill_random(model);
    add_adapters(model, {.rank = 3, .dropout = 0}, everywhere, 1);
    fill_b(model);
    const at::Tensor before = logits_of(model);
    model.to(testing::kPretendDevice);
    EXPECT_TENSORS_CLOSE(logits_of(model).cpu(), before);
    model.to(at::kCPU);
    EXPECT_TENSORS_CLOSE(logits_of(model), before);
    const auto adapters = adapters_of(model);
    const at::Tensor& q = adapters.at("model.layers.0.self_attn.q_proj").a;
    EXPECT_EQ(q.is_same(adapters.at("model.layers.0.self_attn.k_proj").a), family == std::string("qwen"));
  }
}

TEST(Adapter, MergedComputesTheSame) {
  for (const char* family : {"llama", "phi", "qwen"}) {
    MoeLlava model(config_of(family, /*sparse=*/true));
    testing::fill_random(model);
    const at::Tensor before = logits_of(model);
    add_adapters(model, {.rank = 3, .alpha = 6, .dropout = 0}, everywhere, 1);
    fill_b(model);
    const at::Tensor with = logits_of(model);
    EXPECT_GT((with - before).abs().max().item<double>(), 0.1);
    merge_adapters(model);
    EXPECT_TRUE(adapters_of(model).empty());
    EXPECT_TENSORS_CLOSE(logits_of(model), with);
  }
}

TEST(Adapter, StandsAtEveryLinearLayerThatIsWanted) {
  MoeLlava model(config_of("llama", /*sparse=*/true));
  testing::fill_random(model);
  add_adapters(model, {.rank = 3}, is_feed_forward_linear, 1);
  const auto adapters = adapters_of(model);
  // Two dense layers, and two with four experts each.
  EXPECT_EQ(adapters.size(), 3u * (2 + 2 * 4));
  EXPECT_EQ(adapters.count("model.layers.1.mlp.up_proj"), 1u);
  EXPECT_EQ(adapters.count("model.layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.3.down_proj"), 1u);
  add_adapters(model, {.rank = 3}, everywhere, 1);
  EXPECT_EQ(adapters_of(model).size(), 3u * (2 + 2 * 4) + 4 * 4 + 1);
}

TEST(Adapter, BeginsAsPeftDrawsIt) {
  MoeLlava model(config_of("llama", /*sparse=*/false));
  testing::fill_random(model);
  add_adapters(model, {.rank = 64, .alpha = 32, .rank_stabilised = true}, everywhere, 1);
  for (const auto& [name, adapter] : adapters_of(model)) {
    const double bound = 1 / std::sqrt(static_cast<double>(adapter.a.size(1)));
    EXPECT_LE(adapter.a.abs().max().item<double>(), bound) << name;
    EXPECT_NEAR(adapter.a.std().item<double>(), bound / std::sqrt(3.0), 0.08 * bound) << name;
    EXPECT_TRUE(adapter.b.eq(0).all().item<bool>()) << name;
    EXPECT_DOUBLE_EQ(adapter.scale, 32 / 8.0);
  }
  EXPECT_DOUBLE_EQ(adapter_scale(256, 128, false), 2);
  const auto adapters = adapters_of(model);
  EXPECT_FALSE(
      adapters.at("model.layers.0.mlp.up_proj").a.equal(adapters.at("model.layers.1.mlp.up_proj").a));
}

// In the original, adapters are there before experts are copied from the feed-forward.
TEST(Adapter, ExpertsBeginEqualAndAreTheirOwn) {
  MoeLlava model(config_of("llama", /*sparse=*/true));
  testing::fill_random(model);
  add_adapters(model, {.rank = 3}, everywhere, 1);
  const auto adapters = adapters_of(model);
  const std::string experts = "model.layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.";
  const LowRank& first = adapters.at(experts + "0.up_proj");
  const LowRank& second = adapters.at(experts + "1.up_proj");
  EXPECT_TRUE(first.a.equal(second.a));
  EXPECT_FALSE(first.a.is_same(second.a));
  EXPECT_NE(first.stream, second.stream);
}

TEST(Adapter, FusedProjectionsShareTheirA) {
  MoeLlava model(config_of("qwen", /*sparse=*/false));
  testing::fill_random(model);
  add_adapters(model, {.rank = 3}, everywhere, 1);
  const auto adapters = adapters_of(model);
  const LowRank& query = adapters.at("model.layers.0.self_attn.q_proj");
  const LowRank& value = adapters.at("model.layers.0.self_attn.v_proj");
  EXPECT_TRUE(query.a.is_same(value.a));
  EXPECT_FALSE(query.b.is_same(value.b));
  EXPECT_EQ(query.stream, value.stream);
  EXPECT_FALSE(query.a.is_same(adapters.at("model.layers.1.self_attn.q_proj").a));
  std::multiset<std::string> names;
  model.visit([&](const std::string& name, at::Tensor&) { names.insert(name); });
  EXPECT_EQ(names.count("model.layers.0.self_attn.q_proj.lora_A.weight"), 1u);
  EXPECT_EQ(names.count("model.layers.0.self_attn.k_proj.lora_A.weight"), 0u);
  EXPECT_EQ(names.count("model.layers.0.self_attn.k_proj.lora_B.weight"), 1u);
}

}  // namespace
}  // namespace moellava
