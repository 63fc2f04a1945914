// The entries of a zip archive as torch.save writes it: stored, never compressed, nothing ambiguous. Both
// directories must tell the same story and every entry must have bytes of its own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace moellava {

struct ZipEntry {
  std::string_view name;
  std::span<const std::byte> data;
  uint32_t crc = 0;  // as the archive says; read() compares
};

class ZipReader {
 public:
  // Reads and checks both directories, not the data. Throws BadData.
  ZipReader(std::span<const std::byte> bytes, std::string where);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;
  // The entry's data, once its CRC-32 has been found right.
  std::span<const std::byte> read(const ZipEntry& entry) const;

 private:
  struct Directory {
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t entries = 0;
  };
  struct Range {
    uint64_t begin = 0;
    uint64_t end = 0;
    std::string_view name;
  };

  Directory find_directory() const;
  void read_entry(std::span<const std::byte> directory, uint64_t& position, uint64_t data_end);
  void check_overlaps();

  std::span<const std::byte> bytes_;
  std::string where_;
  std::vector<ZipEntry> entries_;
  std::vector<Range> ranges_;  // from local header to the end of the data, one an entry
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace moellava
