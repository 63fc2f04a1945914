// Indexes of large data files kept on disk: tokenising a gigabyte takes minutes, reading its index a moment.
#pragma once

#include <optional>

#include "train/data_index.hpp"

namespace moellava {

// What an index depends on: the files' content, the tokenizer, the style and the limits; neither paths nor
// times.
uint64_t index_key(std::span<const DataFile> files, uint64_t content, const TokeniserOptions& options);

class IndexCache {
 public:
  explicit IndexCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Nothing when there is none, or when it is damaged.
  std::optional<DataIndex> read(uint64_t key, std::span<const DataFile> files) const;
  // Readers see all of it or nothing. Throws Io.
  void write(uint64_t key, const DataIndex& index) const;

 private:
  std::filesystem::path path(uint64_t key) const;

  std::filesystem::path folder_;
};

}  // namespace moellava
