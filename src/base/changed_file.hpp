// A mapped file that somebody cuts short: reading beyond its new end raises SIGBUS, which would kill the
// program without a word.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace moellava {

// Makes SIGBUS inside a watched range print its message and end the program with the exit code of bad data.
// For main, once; SIGBUS from anywhere else still ends the program as it always does.
void report_changed_files();

// Watches a mapping for as long as it lives. At most kMost at a time are; more go unwatched.
class MappingWatch {
 public:
  static constexpr size_t kMost = 4096;

  MappingWatch(std::span<const std::byte> mapped, const std::string& path);
  ~MappingWatch();
  MappingWatch(const MappingWatch&) = delete;
  MappingWatch& operator=(const MappingWatch&) = delete;

 private:
  std::string message_;
  size_t slot_ = kMost;
};

}  // namespace moellava
