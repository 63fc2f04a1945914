#include "base/whole_folder.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class WholeFolderTest : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(root_); }

  const fs::path root_ =
      fs::path(::testing::TempDir()) / ("whole_folder_" + std::to_string(static_cast<long>(::getpid())));
  const fs::path folder_ = root_ / "a" / "b";
};

TEST_F(WholeFolderTest, AppearsWhenAllIsWritten) {
  write_whole_folder(folder_ / "", [&](const fs::path& partial) {
    EXPECT_FALSE(fs::exists(folder_));
    std::ofstream(partial / "file") << "text";
  });
  EXPECT_TRUE(fs::is_regular_file(folder_ / "file"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.parent_path()), {}), 1);
}

TEST_F(WholeFolderTest, IsNotThereWhenWritingFailsAndThenWritesAnew) {
  const auto fail = [](const fs::path& partial) {
    std::ofstream(partial / "half") << "text";
    throw std::runtime_error("full");
  };
  EXPECT_THROW(write_whole_folder(folder_, fail), std::runtime_error);
  EXPECT_FALSE(fs::exists(folder_));
  write_whole_folder(folder_, [](const fs::path& partial) { std::ofstream(partial / "file") << "text"; });
  EXPECT_FALSE(fs::exists(folder_ / "half"));
}

TEST_F(WholeFolderTest, TakesNoFolderThatIsThere) {
  fs::create_directories(folder_);
  try {
    write_whole_folder(folder_, [](const fs::path&) { FAIL() << "written"; });
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Io);
    EXPECT_EQ(std::string(error.what()), folder_.string() + ": already there");
  }
}

}  // namespace
}  // namespace moellava
