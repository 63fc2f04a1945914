// Pictures as a frozen tower sees them, kept on disk between runs: a file for each picture, named by a key.
// Any number of runs may use a folder at the same time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace moellava {

class FeatureCache {
 public:
  // `tower`: key of everything but the picture. An entry holds `values` floats.
  FeatureCache(const std::filesystem::path& folder, uint64_t tower, size_t values);

  bool has(uint64_t picture) const;  // an entry of the right size; whether it is whole, read tells
  enum class Found { Whole, Damaged, Nothing };
  Found read(uint64_t picture, std::span<float> values) const;
  // Readers see the whole entry or none. Throws Io. After a crash of the machine an entry may be damaged,
  // which read notices: flushing each to disk would cost more than computing it again.
  void write(uint64_t picture, std::span<const float> values) const;

  std::filesystem::path path(uint64_t picture) const;
  uint64_t entry_bytes() const;
  uint64_t free_bytes() const;  // of the disk that the folder is, or would be, on
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;  // of this tower
  uint64_t tower_;
  size_t values_;
};

}  // namespace moellava
