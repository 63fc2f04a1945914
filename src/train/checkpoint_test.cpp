#include "train/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "nn/linear.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("checkpoint_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static AdamW optimiser(double value, const std::string& name = "w") {
    AdamW adamw({{name, at::full({2, 3}, value)}}, {});
    adamw.first_moments()[0].fill_(value + 1);
    adamw.second_moments()[0].fill_(value + 2);
    return adamw;
  }
  void save(int64_t step, int64_t keep = 2) {
    AdamW adamw = optimiser(static_cast<double>(step));
    save_checkpoint(folder_,
                    {.step = step, .updates = step - 1, .settings = {{"seed", 1}}, .data_hash = "abc"}, adamw,
                    keep);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string failure() const {
    try {
      newest_checkpoint(folder_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(CheckpointTest, ComesBackAsItWas) {
  EXPECT_FALSE(newest_checkpoint(folder_).has_value());
  save(30);
  const auto found = newest_checkpoint(folder_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state.step, 30);
  EXPECT_EQ(found->state.data_hash, "abc");
  EXPECT_EQ(found->state.settings, Json({{"seed", 1}}));
  AdamW adamw = optimiser(0);
  restore_checkpoint(*found, adamw);
  EXPECT_EQ(adamw.updates(), 29);
  EXPECT_TRUE(adamw.parameters()[0].tensor.equal(at::full({2, 3}, 30.0)));
  EXPECT_TRUE(adamw.first_moments()[0].equal(at::full({2, 3}, 31.0)));
  EXPECT_TRUE(adamw.second_moments()[0].equal(at::full({2, 3}, 32.0)));
}

TEST_F(CheckpointTest, TheNewestByStepWinsAndOldOnesGo) {
  save(9);
  save(100);
  fs::create_directories(folder_ / "checkpoint-200.tmp");  // a save that was interrupted
  fs::create_directories(folder_ / "checkpoint-best");     // somebody's own
  save(20);
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 100);
  EXPECT_EQ(names(), (std::vector<std::string>{"checkpoint-100", "checkpoint-20", "checkpoint-best"}));
}

TEST_F(CheckpointTest, DamagedOnesAreToldAndThePreviousIsTaken) {
  save(1);
  save(2);
  fs::resize_file(folder_ / "checkpoint-2/optimizer.safetensors", 50);
  const auto found = newest_checkpoint(folder_);
  EXPECT_EQ(found->state.step, 1);
  ASSERT_EQ(found->ignored.size(), 1u);
  EXPECT_THAT(found->ignored[0], HasSubstr("optimizer.safetensors: damaged: found 50 bytes"));
  fs::remove(folder_ / "checkpoint-1/COMPLETE");
  EXPECT_THAT(failure(), HasSubstr("no whole checkpoint among 2"));
}

TEST_F(CheckpointTest, ANewerFormatIsRefused) {
  save(1);
  Json state = read_json(folder_ / "checkpoint-1/trainer_state.json");
  state["format"] = 9;
  const std::string text = state.dump(1) + "\n";
  std::ofstream(folder_ / "checkpoint-1/trainer_state.json") << text;
  EXPECT_THAT(failure(), HasSubstr("found format 9, expected 2"));
}

TEST_F(CheckpointTest, OtherParametersAreRefused) {
  save(1);
  const auto found = newest_checkpoint(folder_);
  AdamW other = optimiser(0, "v");
  EXPECT_THROW(restore_checkpoint(*found, other), Error);
  AdamW more({{"w", at::zeros({2, 3})}, {"v", at::zeros({2, 3})}}, {});
  EXPECT_THROW(restore_checkpoint(*found, more), Error);
  AdamW shape({{"w", at::zeros({3, 2})}}, {});
  EXPECT_THROW(restore_checkpoint(*found, shape), Error);
}

TEST_F(CheckpointTest, SavingOverADamagedOneReplacesIt) {
  save(5);
  fs::remove(folder_ / "checkpoint-5/COMPLETE");
  save(5);
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 5);
}

}  // namespace
}  // namespace moellava
