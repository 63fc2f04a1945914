#include "train/step_cost.hpp"

#include <gtest/gtest.h>

#include "tests/tiny_model.hpp"
#include "train/memory_meter.hpp"

namespace moellava {
namespace {

TEST(MemoryMeter, CountsWhatIsMadeAndFreed) {
  MemoryMeter meter;
  at::Tensor a = at::empty({1000});
  { const at::Tensor b = at::empty({500}); }
  EXPECT_EQ(meter.now(), 4000);
  EXPECT_EQ(meter.peak(), 6000);
  meter.forget_peak();
  a.reset();
  EXPECT_EQ(meter.now(), 0);
  EXPECT_EQ(meter.peak(), 4000);
}

constexpr int64_t kInput = 2 * 9 * 16 * 4;  // [2, 9, 16] float32
const CostBatch kBatch{.lengths = {9, 7}, .targets = 5, .pictures = 2};

bool everything(const std::string&) {
  return true;
}
bool nothing(const std::string&) {
  return false;
}

TEST(StepCost, ALayerThatLearnsKeepsMoreThanOneThatIsComputedAgain) {
  const ModelConfig config = testing::tiny_config(/*sparse=*/true);
  CostBatch again = kBatch;
  again.recompute = true;
  for (size_t layer : {0, 1}) {
    const PartCost kept = layer_cost(config, layer, /*below_trains=*/true, everything, kBatch);
    const PartCost less = layer_cost(config, layer, /*below_trains=*/true, everything, again);
    EXPECT_GT(kept.kept, 8 * kInput);
    EXPECT_LT(less.kept, kept.kept / 4);
    EXPECT_GE(less.kept, kInput);  // its output is the next one's input
    EXPECT_EQ(less.gradients, kept.gradients);
    EXPECT_GT(less.backward_peak, kept.gradients);
  }
}

TEST(StepCost, GradientsAreThoseOfTheTrainedParameters) {
  const ModelConfig config = testing::tiny_config(/*sparse=*/true);
  const auto experts = [](const std::string& name) {
    return name.starts_with("model.layers.2.mlp.deepspeed_moe.experts.");
  };
  EXPECT_EQ(layer_cost(config, 2, true, experts, kBatch).gradients, 4 * 3 * 16 * 24 * 4);
  EXPECT_EQ(layer_cost(config, 0, true, experts, kBatch).gradients, 0);
  EXPECT_EQ(projector_cost(config, everything, kBatch).gradients, (8 * 16 + 16 + 16 * 16 + 16) * 4);
}

TEST(StepCost, AdaptersAreMeasuredInsteadOfTheWeightsBesideThem) {
  const ModelConfig config = testing::tiny_config(/*sparse=*/false);
  const LowRank adapter{.a = at::empty({3, 16}), .b = at::empty({24, 3})};
  const AdapterOf adapter_of = [&](const std::string& linear) {
    return linear == "model.layers.2.mlp.up_proj" ? &adapter : nullptr;
  };
  const PartCost cost = layer_cost(config, 2, true, is_low_rank_parameter, kBatch, adapter_of);
  EXPECT_EQ(cost.gradients, (3 * 16 + 24 * 3) * 4);
  EXPECT_GT(cost.kept, layer_cost(config, 2, true, nothing, kBatch).kept);
  EXPECT_EQ(layer_cost(config, 1, true, is_low_rank_parameter, kBatch, adapter_of).gradients, 0);
}

TEST(StepCost, WhatLearnsNothingKeepsNothing) {
  const ModelConfig config = testing::tiny_config(/*sparse=*/true);
  EXPECT_EQ(layer_cost(config, 0, /*below_trains=*/false, nothing, kBatch).kept, 0);
  EXPECT_GT(layer_cost(config, 0, /*below_trains=*/true, nothing, kBatch).kept, 0);
  EXPECT_EQ(projector_cost(config, nothing, kBatch).kept, 0);
}

}  // namespace
}  // namespace moellava
