// Files as bytes: mapped for reading, replaced atomically when written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/changed_file.hpp"

namespace moellava {

// A whole regular file mapped read-only. Throws Io when it cannot be opened, BadData when it is no regular
// file. Reading on after somebody has cut the file short ends the program (base/changed_file.hpp).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::optional<MappingWatch> watch_;
};

// The file's content; throws Limit when it is larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, uint64_t limit);

// Writes by temporary name, fsync, rename, fsync of the folder: after a crash the file is the old or the new
// one. `write` is given a sink to call any number of times.
using ByteSink = std::function<void(std::span<const std::byte>)>;
void write_file_atomic(const std::filesystem::path& path, const std::function<void(const ByteSink&)>& write);
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

// Makes the names inside a folder durable.
void fsync_folder(const std::filesystem::path& path);

// A plain file name out of an untrusted file: no separators, no "..", not empty. Throws BadData naming
// `where`.
void require_plain_file_name(std::string_view name, std::string_view where);

}  // namespace moellava
