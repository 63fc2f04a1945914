#include "base/cache_folder.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

TEST(CacheFolder, FollowsTheEnvironment) {
  ::setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(cache_folder("index"), "/somewhere/moe-llava/index");
  ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(cache_folder("index"), "/home/me/.cache/moe-llava/index");
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(cache_folder("index"), "/home/me/.cache/moe-llava/index");
  ::unsetenv("HOME");
  EXPECT_THROW(cache_folder("index"), Error);
}

TEST(CacheFolder, ReadersNeverSeeHalfAFile) {
  const fs::path folder = fs::path(::testing::TempDir()) / "publish_file";
  fs::remove_all(folder);
  std::vector<std::thread> writers;
  for (char letter : {'a', 'b', 'c'}) {
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 50; ++i) {
        publish_file(folder / "deep" / "file", [&](const fs::path& temporary) {
          std::ofstream(temporary) << std::string(10'000, letter);
        });
        const std::string content = read_file(folder / "deep" / "file", 1 << 20);
        EXPECT_EQ(content, std::string(10'000, content.at(0)));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "deep"), {}), 1);  // nothing is left behind
  EXPECT_THROW(publish_file(folder / "deep" / "other", [](const fs::path&) { throw 5; }), int);
  fs::remove_all(folder);
}

TEST(CacheFolder, AFolderThatCannotBeMadeIsAnIoError) {
  try {
    publish_file("/proc/none/file", [](const fs::path&) {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Io);
  }
}

}  // namespace
}  // namespace moellava
