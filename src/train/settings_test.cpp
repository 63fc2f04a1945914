#include "train/settings.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace moellava {
namespace {

TEST(Settings, StagesHaveThePublishedDefaults) {
  EXPECT_EQ(default_settings(1).learning_rate, 1e-3);
  EXPECT_EQ(default_settings(1).version, "plain");
  EXPECT_EQ(default_settings(1).aspect_ratio, AspectRatio::Square);
  for (int stage : {2, 3}) {
    EXPECT_EQ(default_settings(stage).learning_rate, 2e-5);
    EXPECT_EQ(default_settings(stage).per_device_train_batch_size, 8);
    EXPECT_EQ(default_settings(stage).aspect_ratio, AspectRatio::Pad);
  }
}

TEST(Settings, EveryDifferingFieldIsListed) {
  TrainSettings before = default_settings(3);
  TrainSettings now = before;
  now.learning_rate = 1e-4;
  now.moe.num_experts = {8};
  now.save_steps = 7;  // decides nothing
  EXPECT_EQ(settings_differences(settings_json(before), settings_json(now)),
            (std::vector<std::string>{"learning_rate: 2e-05, now 0.0001", "num_experts: [4], now [8]"}));
  // Survives the way through a file.
  EXPECT_TRUE(settings_differences(Json::parse(settings_json(before).dump()), settings_json(before)).empty());
}

TEST(Settings, AnotherStageHasOtherFields) {
  const auto differences =
      settings_differences(settings_json(default_settings(2)), settings_json(default_settings(3)));
  EXPECT_NE(std::find(differences.begin(), differences.end(), "top_k_experts: nothing, now 2"),
            differences.end());
}

TEST(Settings, AGlobalBatchIsSharedOut) {
  TrainSettings settings = default_settings(2);  // 8 samples at once
  settings.gradient_accumulation_steps = 4;
  share_out_batch(settings, 2);
  EXPECT_EQ(settings.gradient_accumulation_steps, 4);
  EXPECT_EQ(settings_json(settings)["global_batch_size"], 64);
  for (const int64_t processes : {1, 2, 4, 8}) {
    settings.global_batch_size = 64;
    share_out_batch(settings, processes);
    EXPECT_EQ(settings.gradient_accumulation_steps, 8 / processes);
    EXPECT_EQ(settings_json(settings)["global_batch_size"], 64);
  }
  EXPECT_THROW(share_out_batch(settings, 3), Error);
}

}  // namespace
}  // namespace moellava
