#include "train/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "nn/linear.hpp"
#include "train/checkpoint_manifest.hpp"

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
  void write(const fs::path& path, const std::string& content) const {
    std::ofstream(folder_ / path, std::ios::binary) << content;
  }
  // As if its files had been written as they are now.
  static void seal_again(const fs::path& checkpoint) {
    for (const char* seal : {"manifest.json", "COMPLETE"}) fs::remove(checkpoint / seal);
    seal_checkpoint(checkpoint);
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
  save(120);
  remove_unfinished_saves(folder_);
  EXPECT_EQ(names(), (std::vector<std::string>{"checkpoint-100", "checkpoint-120", "checkpoint-best"}));
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
  write("checkpoint-1/trainer_state.json", state.dump(1) + "\n");
  seal_again(folder_ / "checkpoint-1");
  EXPECT_THAT(failure(), HasSubstr("found format 9, expected 2"));
}

TEST_F(CheckpointTest, EveryFlippedByteIsNoticedAndItsFileNamed) {
  save(1);
  save(2);
  const fs::path folder = "checkpoint-2";
  for (const char* name :
       {"model.safetensors", "optimizer.safetensors", "trainer_state.json", "manifest.json", "COMPLETE"}) {
    const std::string good = read_file(folder_ / folder / name, 1 << 20);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
      write(folder / name, bad);
      const auto found = newest_checkpoint(folder_);
      ASSERT_EQ(found->state.step, 1) << name << " " << at;
      ASSERT_EQ(found->ignored.size(), 1u);
      ASSERT_THAT(found->ignored[0], HasSubstr(name)) << at;
    }
    write(folder / name, good);
  }
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 2);
}

TEST_F(CheckpointTest, EveryMissingFileIsNamed) {
  save(1);
  for (const char* name :
       {"model.safetensors", "optimizer.safetensors", "trainer_state.json", "manifest.json"}) {
    const fs::path file = fs::path("checkpoint-1") / name;
    const std::string content = read_file(folder_ / file, 1 << 20);
    fs::remove(folder_ / file);
    EXPECT_THAT(failure(), HasSubstr(std::string(name) + ": damaged: found no file"));
    write(file, content);
  }
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 1);
}

TEST_F(CheckpointTest, AManifestThatDoesNotListWhatIsNeededIsRefused) {
  save(1);
  fs::remove(folder_ / "checkpoint-1/optimizer.safetensors");
  seal_again(folder_ / "checkpoint-1");
  EXPECT_THAT(failure(), HasSubstr("found no entry, expected \"optimizer.safetensors\""));
}

TEST_F(CheckpointTest, AFolderUnderAnotherNumberIsRefused) {
  save(1);
  fs::rename(folder_ / "checkpoint-1", folder_ / "checkpoint-7");
  EXPECT_THAT(failure(), HasSubstr("checkpoint-7: holds another step: found 1, expected 7"));
}

// The one that a run goes on from is never removed for newer ones that are of no use.
TEST_F(CheckpointTest, ManyDamagedOnesDoNotCostTheLastWholeOne) {
  for (int64_t step : {1, 2, 3}) save(step, 4);
  fs::remove(folder_ / "checkpoint-2/COMPLETE");
  fs::remove(folder_ / "checkpoint-3/model.safetensors");
  EXPECT_EQ(newest_checkpoint(folder_)->ignored.size(), 2u);
  remove_unfinished_saves(folder_);
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 1);
  save(2);  // trained again
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 2);
}

TEST_F(CheckpointTest, ANewOneIsNotRemovedForDamagedOnesOfLaterSteps) {
  for (int64_t step : {10, 20, 30}) save(step, 4);
  for (const char* name : {"checkpoint-20", "checkpoint-30"}) fs::remove(folder_ / name / "COMPLETE");
  save(12);
  save(14);
  EXPECT_EQ(newest_checkpoint(folder_)->state.step, 14);
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{30, 20, 14, 12}));
}

TEST_F(CheckpointTest, TheHistoryHasALineForEveryEntry) {
  AdamW adamw = optimiser(1);
  TrainState state{.step = 2, .settings = {{"seed", 1}}, .data_hash = "abc"};
  for (const char* history :
       {"[]", R"([{"loss": 2.5, "step": 1}])", R"([{"step": 1}, {"step": 2, "load": [[1]]}])"}) {
    state.log_history = Json::parse(history);
    write_state(folder_ / "state.json", state);
    const Json json = read_state_json(folder_ / "state.json");
    EXPECT_EQ(json["log_history"], state.log_history);
    EXPECT_EQ(json["global_step"], 2);
  }
  EXPECT_THAT(read_file(folder_ / "state.json", 1 << 20),
              HasSubstr("\n  {\"step\":1},\n  {\"load\":[[1]],\"step\":2}\n ]"));
}

TEST_F(CheckpointTest, AWholeOneOfTheSameStepStays) {
  save(1);
  const auto before = fs::last_write_time(folder_ / "checkpoint-1/COMPLETE");
  save(1);
  EXPECT_EQ(fs::last_write_time(folder_ / "checkpoint-1/COMPLETE"), before);
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
