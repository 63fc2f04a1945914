// What tests of benchmarks share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "eval/task.hpp"

namespace moellava::testing {

// Made-up answers and what the official scripts make of them.
inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(MOELLAVA_SOURCE_DIR) / "tests/golden/eval" / name;
}

// Removed with what is in it.
class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(std::filesystem::temp_directory_path() / ("moellava_eval_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  // The path of a file with this content.
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    write_file_atomic(path_ / name, content);
    return path_ / name;
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// What the error of `call` says, "" when there is none.
template <typename Call>
std::string refusal_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A figure of the scores. Fails the test when there is none.
inline double figure(const Scores& scores, std::string_view group_name, std::string_view name) {
  for (const FigureGroup& group : scores.figures) {
    for (const Figure& found : group.figures) {
      if (group.name == group_name && found.name == name) return found.value;
    }
  }
  ADD_FAILURE() << "no figure " << group_name << " / " << name;
  return 0;
}

}  // namespace moellava::testing
