#include "train/train_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace moellava {
namespace {

StepReport report() {
  StepReport report;
  report.step = 3;
  report.loss = 2.5;
  report.aux_loss = 1.25;
  report.learning_rate = 1e-3;
  report.grad_norm = 0.5;
  report.tokens = 7;
  report.loads.push_back({.text = {.tokens = 3, .chosen = {2, 4}, .dropped = 1, .entropy = 1.5},
                          .image = {.tokens = 1, .chosen = {0, 2}, .dropped = 1, .entropy = 0.5}});
  // No picture in this batch.
  report.loads.push_back(
      {.text = {.tokens = 4, .chosen = {8, 0}, .dropped = 0, .entropy = 0}, .image = {.chosen = {0, 0}}});
  return report;
}

TEST(LogEntry, HasSharesByLayerAndKind) {
  const Json entry = log_entry(report(), /*steps_per_epoch=*/4);
  EXPECT_EQ(entry["step"], 3);
  EXPECT_EQ(entry["epoch"], 0.75);
  EXPECT_EQ(entry["loss"], 2.5);
  EXPECT_EQ(entry["aux_loss"], 1.25);
  EXPECT_EQ(entry["expert_load"], Json::parse("[[0.25, 0.75], [1.0, 0.0]]"));
  EXPECT_EQ(entry["expert_load_text"], Json::parse("[[0.3333, 0.6667], [1.0, 0.0]]"));
  EXPECT_EQ(entry["expert_load_image"], Json::parse("[[0.0, 1.0], [0.0, 0.0]]"));
  EXPECT_EQ(entry["router_entropy"], Json::parse("[0.5, 0.0]"));
  EXPECT_EQ(entry["dropped"], Json::parse("[0.25, 0.0]"));
}

TEST(LogEntry, OfADenseModelHasNoRouting) {
  StepReport dense = report();
  dense.loads.clear();
  const Json entry = log_entry(dense, 4);
  for (const char* field : {"aux_loss", "expert_load", "dropped"}) EXPECT_FALSE(entry.contains(field));
  EXPECT_EQ(entry["loss"], 2.5);
}

TEST(LogScalars, NameLayersAndExperts) {
  std::map<std::string, double> scalars;
  for (const Scalar& scalar : log_scalars(log_entry(report(), 4))) scalars[scalar.tag] = scalar.value;
  EXPECT_EQ(scalars.at("train/loss"), 2.5);
  EXPECT_EQ(scalars.at("train/learning_rate"), 1e-3);
  EXPECT_EQ(scalars.at("expert_load/layer_1/expert_2"), 0.75);
  EXPECT_EQ(scalars.at("expert_load_image/layer_1/expert_1"), 0);
  EXPECT_EQ(scalars.at("router_entropy/layer_1"), 0.5);
  EXPECT_EQ(scalars.at("dropped/layer_2"), 0);
  EXPECT_FALSE(scalars.contains("train/step"));
  EXPECT_EQ(scalars.size(), 7U + 3 * 4 + 2 * 2);
}

}  // namespace
}  // namespace moellava
