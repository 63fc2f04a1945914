#include "train/resume.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("resume_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    settings_.output_dir = folder_ / "out";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void save(int64_t step, const fs::path& output) const {
    fs::create_directories(output);
    AdamW adamw({{"w", at::full({2}, static_cast<double>(step))}}, {});
    save_checkpoint(output, {.step = step, .settings = settings_json(settings_), .data_hash = "abc"}, adamw,
                    9);
  }
  // The step that a run starts behind.
  int64_t start() const {
    const OutputFolder output(settings_.output_dir);
    const auto found = find_start(output, settings_);
    return found ? found->state.step : 0;
  }
  std::string refusal(ErrorKind kind = ErrorKind::Usage) const {
    try {
      start();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
  TrainSettings settings_ = default_settings(2);
};

TEST_F(ResumeTest, UnaskedTheNewestIfThereIsOne) {
  EXPECT_EQ(start(), 0);
  save(1, settings_.output_dir);
  save(2, settings_.output_dir);
  EXPECT_EQ(start(), 2);
}

TEST_F(ResumeTest, TrueNeedsOne) {
  settings_.resume_from_checkpoint = "True";
  EXPECT_THAT(refusal(), HasSubstr("--resume_from_checkpoint True: there is no checkpoint"));
  save(1, settings_.output_dir);
  EXPECT_EQ(start(), 1);
}

TEST_F(ResumeTest, FalseNeverMixesANewRunWithAnOldOne) {
  settings_.resume_from_checkpoint = "False";
  EXPECT_EQ(start(), 0);
  save(1, settings_.output_dir);
  EXPECT_THAT(refusal(), HasSubstr("--resume_from_checkpoint False: the output folder holds checkpoints"));
  settings_.overwrite_output_dir = true;
  EXPECT_EQ(start(), 0);
  EXPECT_TRUE(checkpoint_steps(settings_.output_dir).empty());
}

TEST_F(ResumeTest, AFolderIsTakenAsItIsOrNotAtAll) {
  save(1, settings_.output_dir);
  save(2, settings_.output_dir);
  settings_.resume_from_checkpoint = (settings_.output_dir / "checkpoint-1").string();
  EXPECT_EQ(start(), 1);
  settings_.resume_from_checkpoint += "/";  // as shells complete it
  EXPECT_EQ(start(), 1);
  fs::resize_file(settings_.output_dir / "checkpoint-1/model.safetensors", 10);
  EXPECT_THAT(refusal(ErrorKind::BadData), HasSubstr("model.safetensors: damaged: found 10 bytes"));
  settings_.resume_from_checkpoint = "nowhere";
  EXPECT_THAT(refusal(), HasSubstr("found \"nowhere\", expected a checkpoint's folder, True or False"));
}

TEST_F(ResumeTest, AFolderElsewhereGoesOnInAnEmptyOne) {
  save(5, folder_ / "other");
  settings_.resume_from_checkpoint = (folder_ / "other/checkpoint-5").string();
  EXPECT_EQ(start(), 5);
  save(1, settings_.output_dir);
  EXPECT_THAT(refusal(), HasSubstr("--output_dir: holds files of a model or of another run"));
}

TEST_F(ResumeTest, OtherSettingsAndFinishedRunsAreRefused) {
  save(1, settings_.output_dir);
  settings_.learning_rate *= 2;
  EXPECT_THAT(refusal(), HasSubstr("belongs to a run with other settings: found learning_rate: "));
  std::ofstream(settings_.output_dir / "trainer_state.json") << "{}";
  EXPECT_THAT(refusal(), HasSubstr("holds a finished run"));
}

TEST_F(ResumeTest, DamagedNewerOnesAreTold) {
  save(1, settings_.output_dir);
  save(2, settings_.output_dir);
  fs::remove(settings_.output_dir / "checkpoint-2/COMPLETE");
  const OutputFolder output(settings_.output_dir);
  const auto found = find_start(output, settings_);
  EXPECT_EQ(found->state.step, 1);
  ASSERT_EQ(found->ignored.size(), 1u);
  EXPECT_THAT(found->ignored[0], HasSubstr("checkpoint-2: incomplete"));
}

}  // namespace
}  // namespace moellava
