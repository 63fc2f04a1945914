#include "train/run_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "draw/xml_testing.hpp"
#include "train/history_picture.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class RunHistoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("history_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  static std::string state(const std::string& entries) { return "{\"log_history\": [" + entries + "]}"; }
  std::string refusal(const std::string& text) const {
    write("trainer_state.json", text);
    try {
      read_history(folder_);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(RunHistoryTest, TakesColumnsByStep) {
  write("trainer_state.json", state(R"({"step": 5, "loss": 2.5, "learning_rate": 0.001, "aux_loss": 1.5,
                  "expert_load": [[0.25, 0.75], [1, 0]], "dropped": [0.125, 0.375]},
                 {"step": 10, "eval_loss": 3},
                 {"step": 10, "loss": 2, "learning_rate": 0, "expert_load": [[0.5, 0.5], [0, 1]]})"));
  const RunHistory history = read_history(folder_);
  ASSERT_EQ(history.loss.size(), 2U);
  EXPECT_EQ(history.loss[1].x, 10);
  EXPECT_EQ(history.loss[1].y, 2);
  ASSERT_EQ(history.balance_loss.size(), 1U);
  ASSERT_EQ(history.dropped.size(), 1U);
  EXPECT_DOUBLE_EQ(history.dropped[0].y, 0.25);
  ASSERT_EQ(history.load.size(), 2U);
  ASSERT_EQ(history.load[1].size(), 2U);
  EXPECT_EQ(history.load[0][1][0].y, 0.75);
  EXPECT_EQ(history.load[1][1][1].y, 1);
}

TEST_F(RunHistoryTest, FindsTheNewestCheckpointOfARunUnderWay) {
  write("checkpoint-9/trainer_state.json", state(R"({"step": 9, "loss": 1})"));
  write("checkpoint-10/trainer_state.json", state(R"({"step": 10, "loss": 2})"));
  EXPECT_EQ(read_history(folder_).loss[0].x, 10);
  EXPECT_EQ(read_history(folder_ / "checkpoint-9").loss[0].x, 9);
  EXPECT_EQ(read_history(folder_ / "checkpoint-9/trainer_state.json").loss[0].x, 9);
  fs::remove_all(folder_ / "checkpoint-9");
  fs::remove_all(folder_ / "checkpoint-10");
  try {
    read_history(folder_);
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Io);
    EXPECT_THAT(error.what(), HasSubstr("holds no history of a run"));
  }
}

TEST_F(RunHistoryTest, RefusesOtherFiles) {
  EXPECT_THAT(refusal("[]"), HasSubstr("trainer_state.json: "));
  EXPECT_THAT(refusal(R"({"log_history": 1})"), HasSubstr("log_history: not a list"));
  EXPECT_THAT(refusal(state("")), HasSubstr("log_history: holds no losses"));
  EXPECT_THAT(refusal(state(R"({"loss": 1})")), HasSubstr("log_history[0]: step: missing"));
  EXPECT_THAT(refusal(state(R"({"step": 1, "loss": "1"})")), HasSubstr("log_history[0]: loss"));
  for (const char* load : {"1", "[1]", "[[1, null]]", "[[\"a\"]]"}) {
    EXPECT_THAT(refusal(state(R"({"step": 1, "loss": 1, "expert_load": )" + std::string(load) + "}")),
                HasSubstr("log_history[0]: expert_load: not a list of numbers"))
        << load;
  }
}

TEST_F(RunHistoryTest, TheNumberOfExpertsIsBounded) {
  Json layers = Json::array();
  for (int l = 0; l < 100; ++l) layers.push_back(std::vector<double>(100, 0.01));
  const Json entry = {{"step", 1}, {"loss", 1}, {"expert_load", layers}};
  EXPECT_THAT(refusal(state(entry.dump())), HasSubstr("too many experts"));
}

RunHistory made_up(const std::string& name, size_t layers, size_t experts) {
  RunHistory run{
      .name = name, .loss = {}, .learning_rate = {}, .balance_loss = {}, .dropped = {}, .load = {}};
  run.load.assign(layers, std::vector<std::vector<Point>>(experts));
  for (int step = 1; step <= 200; ++step) {
    const double x = step;
    run.loss.push_back({x, 4 / x});
    run.learning_rate.push_back({x, 1e-3});
    if (layers == 0) continue;
    run.balance_loss.push_back({x, 1 + 1 / x});
    for (auto& layer : run.load) {
      for (auto& expert : layer) expert.push_back({x, 1.0 / static_cast<double>(experts)});
    }
  }
  return run;
}

TEST(HistoryPicture, ShowsAllRunsAndLayers) {
  const std::string svg = svg_of(history_picture({made_up("a & b", 4, 3), made_up("dense", 0, 0)}));
  EXPECT_EQ(test::fault_in(svg), "");
  for (const char* text : {">a &amp; b<", ">dense<", ">Loss<", ">Learning rate<", ">Balance loss<",
                           ">MoE layer 4<", ">expert 3<", ">Expert load by layer: a &amp; b<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, Not(HasSubstr(">Dropped choices<")));  // nothing was logged
  EXPECT_THAT(svg, Not(HasSubstr("Expert load by layer: dense")));
}

TEST(HistoryPicture, HoldsEverythingItDraws) {
  for (size_t layers : {0, 1, 3, 4}) {
    const Picture picture = history_picture({made_up("run", layers, 8)});
    for (const Shape& shape : picture.shapes) {
      const auto* path = std::get_if<Path>(&shape);
      if (path == nullptr) continue;
      for (const Point& point : path->points) {
        EXPECT_GE(point.x, 0);
        EXPECT_LE(point.x, picture.width);
        EXPECT_GE(point.y, 0);
        EXPECT_LE(point.y, picture.height);
      }
    }
  }
}

}  // namespace
}  // namespace moellava
