#include "base/path_below.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class PathBelow : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("moellava_path_below_" + std::to_string(::getpid()));
    fs::create_directories(root_ / "pictures/inner");
    std::ofstream(root_ / "pictures/inner/a.png") << "a";
    std::ofstream(root_ / "secret.png") << "s";
    fs::create_symlink(root_ / "secret.png", root_ / "pictures/out.png");
    fs::create_symlink("inner/a.png", root_ / "pictures/in.png");
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string refusal(const std::string& name) const {
    try {
      path_below(root_ / "pictures", name, "q.jsonl:3: image");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      return error.what();
    }
    return "accepted";
  }

  fs::path root_;
};

TEST_F(PathBelow, FindsFilesBelow) {
  const fs::path expected = fs::canonical(root_) / "pictures/inner/a.png";
  EXPECT_EQ(path_below(root_ / "pictures", "inner/a.png", "x"), expected);
  EXPECT_EQ(path_below(root_ / "pictures", "in.png", "x"), expected);
}

TEST_F(PathBelow, RefusesWhatLeavesTheFolder) {
  using testing::HasSubstr;
  const std::string outside = "q.jsonl:3: image: not a path below the folder";
  EXPECT_THAT(refusal("../secret.png"), HasSubstr(outside));
  EXPECT_THAT(refusal("inner/../../secret.png"), HasSubstr(outside));
  EXPECT_THAT(refusal((root_ / "secret.png").string()), HasSubstr(outside));
  EXPECT_THAT(refusal(""), HasSubstr(outside));
  EXPECT_THAT(refusal(std::string("inner/a.png\0.jpg", 16)), HasSubstr(outside));
  EXPECT_THAT(refusal("out.png"), HasSubstr("a link leads out of the folder"));
  EXPECT_THAT(refusal("inner"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal("missing.png"), HasSubstr("no such file"));
}

TEST_F(PathBelow, NamesAMissingFolder) {
  try {
    path_below(root_ / "nowhere", "a.png", "x");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Io);
    EXPECT_THAT(error.what(), testing::HasSubstr("nowhere: no such folder"));
  }
}

}  // namespace
}  // namespace moellava
