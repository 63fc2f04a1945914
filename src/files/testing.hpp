// For tests: tables of bad inputs, and a folder for files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "files/test_bytes.hpp"

namespace moellava::test {

// A folder that is gone at the end of the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moellava_files_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// One row of a table of bad inputs.
struct BadCase {
  const char* name;
  std::string bytes;
  std::string message;  // a part of it
  ErrorKind kind = ErrorKind::BadData;
};

// Each row must throw its kind of Error with its message: one line, at most 300 characters.
inline void expect_refused(const std::vector<BadCase>& cases,
                           const std::function<void(const std::string& bytes)>& parse) {
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(bad.name);
    try {
      parse(bad.bytes);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find(bad.message), std::string::npos) << text;
      EXPECT_EQ(error.kind(), bad.kind) << text;
      EXPECT_LE(text.size(), 300u) << text;
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    }
  }
}

}  // namespace moellava::test
