// A data file of any size, mapped, of which little stays in memory.
#pragma once

#include <memory>

#include "base/file_io.hpp"

namespace moellava {

class DataFile {
 public:
  explicit DataFile(const std::filesystem::path& path) : file_(std::make_unique<MappedFile>(path)) {}

  const std::filesystem::path& path() const { return file_->path(); }
  std::string_view text() const;
  // Lets go of the memory behind the first `end` bytes from `begin` on; reading them again reads the file.
  void release(size_t begin, size_t end) const;

  // Hash of the whole content, computed in several threads.
  uint64_t hash() const;

 private:
  std::unique_ptr<MappedFile> file_;
};

}  // namespace moellava
