#include "train/output_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OutputFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("output_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void touch(const std::string& name) const { std::ofstream(folder_ / name) << "x"; }

  static std::string message(const std::function<void()>& action, ErrorKind kind) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(OutputFolderTest, ASecondRunIsToldWhoHoldsIt) {
  const OutputFolder mine(folder_ / "deep" / "er");
  EXPECT_THAT(message([&] { const OutputFolder other(mine.path()); }, ErrorKind::Usage),
              HasSubstr("locked by pid " + std::to_string(::getpid())));
}

TEST_F(OutputFolderTest, TheLockOfAKilledRunIsTakenOver) {
  const pid_t child = ::fork();
  if (child == 0) {
    const OutputFolder held(folder_);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(fs::exists(folder_ / ".train.lock"));
  EXPECT_NO_THROW(const OutputFolder mine(folder_));
  EXPECT_FALSE(fs::exists(folder_ / ".train.lock"));
}

TEST_F(OutputFolderTest, AFileInItsPlaceIsAnIoError) {
  std::ofstream(folder_) << "x";
  EXPECT_THAT(message([&] { const OutputFolder output(folder_); }, ErrorKind::Io),
              HasSubstr("cannot make the output folder"));
}

TEST_F(OutputFolderTest, FilesOfOtherRunsAreRefusedAndClearedOthersStay) {
  const OutputFolder output(folder_);
  touch("log.txt");
  EXPECT_NO_THROW(output.require_unused());
  touch("config.json");
  EXPECT_THAT(message([&] { output.require_unused(); }, ErrorKind::Usage),
              HasSubstr("--output_dir: holds files of a model or of another run"));
  touch("model.safetensors");
  fs::create_directories(folder_ / "checkpoint-3");
  output.clear();
  EXPECT_NO_THROW(output.require_unused());
  EXPECT_TRUE(fs::exists(folder_ / "log.txt"));
  EXPECT_FALSE(fs::exists(folder_ / "checkpoint-3"));
}

TEST_F(OutputFolderTest, TooLittleSpaceIsFoundBeforeTraining) {
  const OutputFolder output(folder_);
  EXPECT_NO_THROW(output.require_space(1));
  EXPECT_THAT(message([&] { output.require_space(1ull << 62); }, ErrorKind::Io),
              HasSubstr("not enough free space"));
}

}  // namespace
}  // namespace moellava
