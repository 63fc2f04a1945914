#include "files/zip_reader.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/crc.hpp"
#include "base/error.hpp"
#include "files/bytes.hpp"
#include "files/naming.hpp"

namespace moellava {

namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint32_t kDescriptorSignature = 0x08074b50;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kCentralSize = 46;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kEnd64Size = 56;
constexpr uint64_t kLocator64Size = 20;

constexpr uint16_t kDescriptorFlag = 1 << 3;  // CRC and sizes follow the data
constexpr uint16_t kUtf8Flag = 1 << 11;
constexpr uint16_t kZip64Field = 1;
constexpr uint32_t kIn64 = 0xffffffff;  // "the value stands in the ZIP64 field"
constexpr uint64_t kMostEntries = 200'000;

// One header of either directory.
struct Header {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t stored = 0;  // bytes in the archive
  uint64_t size = 0;    // bytes of the entry
  uint64_t local = 0;   // offset of the local header; central directory only
};

// The values that a central header leaves to its ZIP64 field, in their fixed order.
void read_zip64(std::span<const std::byte> extra, Header& header, const std::string& where) {
  if (header.size != kIn64 && header.stored != kIn64 && header.local != kIn64) return;
  for (ByteReader fields(extra, where); fields.remaining() > 0;) {
    const auto id = fields.read<uint16_t>("extra field id");
    const auto size = fields.read<uint16_t>("extra field size");
    ByteReader field(fields.take(size, "extra field"), where);
    if (id != kZip64Field) continue;
    if (header.size == kIn64) header.size = field.read<uint64_t>("ZIP64 size");
    if (header.stored == kIn64) header.stored = field.read<uint64_t>("ZIP64 stored size");
    if (header.local == kIn64) header.local = field.read<uint64_t>("ZIP64 offset");
    return;
  }
  throw bad_data(where, "ZIP64 field is missing");
}

void check_name(std::string_view name, const std::string& where) {
  const bool plain = !name.empty() && name.front() != '/' && name.find('\0') == std::string_view::npos &&
                     name.find('\\') == std::string_view::npos &&
                     ("/" + std::string(name) + "/").find("/../") == std::string::npos;
  if (!plain) throw bad_data(where, "unsafe entry name");
}

void check_stored(const Header& header, const std::string& where) {
  if ((header.flags & ~(kDescriptorFlag | kUtf8Flag)) != 0) {
    throw bad_data(where, "unsupported flags (encrypted or patched?)",
                   {.found = std::to_string(header.flags)});
  }
  if (header.method != 0) {
    throw bad_data(where, "compressed entry",
                   {.found = "method " + std::to_string(header.method), .expected = "0 (stored)"});
  }
  if (header.stored != header.size) {
    throw bad_data(where, "stored size differs from size",
                   {.found = std::to_string(header.stored), .expected = std::to_string(header.size)});
  }
}

// A local value must repeat the central one, or be left zero for the descriptor behind the data, or (sizes
// only) point to a ZIP64 field.
void check_local(const Header& local, const Header& central, const std::string& where) {
  const bool later = (central.flags & kDescriptorFlag) != 0;
  const auto agrees = [&](uint64_t value, uint64_t expected) {
    return value == expected || (later && value == 0);
  };
  const auto size_agrees = [&](uint64_t value, uint64_t expected) {
    return agrees(value, expected) || (value == kIn64 && expected >= kIn64);
  };
  if (local.flags != central.flags || local.method != central.method || !agrees(local.crc, central.crc) ||
      !size_agrees(local.stored, central.stored) || !size_agrees(local.size, central.size)) {
    throw bad_data(where, "local header differs from the central directory");
  }
}

// The descriptor behind the data: signature, CRC, two sizes of 4 or (ZIP64) 8 bytes.
void check_descriptor(std::span<const std::byte> after, const Header& central, const std::string& where) {
  const bool there = after.size() >= 16 && load<uint32_t>(after.data()) == kDescriptorSignature &&
                     load<uint32_t>(after.data() + 4) == central.crc;
  const bool narrow = there && load<uint32_t>(after.data() + 8) == central.stored &&
                      load<uint32_t>(after.data() + 12) == central.size;
  const bool wide = there && after.size() >= 24 && load<uint64_t>(after.data() + 8) == central.stored &&
                    load<uint64_t>(after.data() + 16) == central.size;
  if (!narrow && !wide) throw bad_data(where, "data descriptor differs from the central directory");
}

}  // namespace

ZipReader::ZipReader(std::span<const std::byte> bytes, std::string where)
    : bytes_(bytes), where_(std::move(where)) {
  const Directory directory = find_directory();
  const auto central = bytes_.subspan(directory.offset, directory.size);
  uint64_t position = 0;
  for (uint64_t i = 0; i < directory.entries; ++i) read_entry(central, position, directory.offset);
  if (position != central.size()) {
    throw bad_data(
        where_, "central directory is longer than its entries",
        {.found = std::to_string(central.size()) + " bytes", .expected = std::to_string(position)});
  }
  check_overlaps();
}

// The end record must be the file's last 22 bytes, so that no second one can be found.
ZipReader::Directory ZipReader::find_directory() const {
  const auto bad = [&](const std::string& what) { return bad_data(where_, what); };
  if (bytes_.size() < kEndSize || load<uint32_t>(&bytes_[bytes_.size() - kEndSize]) != kEndSignature)
    throw bad("zip archive has no end record in its last 22 bytes (truncated, or an archive comment)");
  uint64_t end = bytes_.size() - kEndSize;
  const std::byte* record = &bytes_[end];
  if (load<uint16_t>(record + 20) != 0) throw bad("zip archive has a comment");
  if (load<uint32_t>(record + 4) != 0) throw bad("zip archive has several disks");
  Directory directory{.offset = load<uint32_t>(record + 16),
                      .size = load<uint32_t>(record + 12),
                      .entries = load<uint16_t>(record + 10)};
  if (load<uint16_t>(record + 8) != directory.entries) throw bad("zip entry counts differ");
  const bool has_64 =
      end >= kLocator64Size + kEnd64Size && load<uint32_t>(record - kLocator64Size) == kLocator64Signature;
  if (has_64) {
    const std::byte* locator = record - kLocator64Size;
    end -= kLocator64Size + kEnd64Size;
    const std::byte* wide = &bytes_[end];
    if (load<uint64_t>(locator + 8) != end || load<uint32_t>(wide) != kEnd64Signature ||
        load<uint64_t>(wide + 4) != kEnd64Size - 12) {
      throw bad("ZIP64 end record is not where its locator says");
    }
    const Directory large{.offset = load<uint64_t>(wide + 48),
                          .size = load<uint64_t>(wide + 40),
                          .entries = load<uint64_t>(wide + 32)};
    if ((directory.offset != large.offset && directory.offset != kIn64) ||
        (directory.size != large.size && directory.size != kIn64) ||
        (directory.entries != large.entries && directory.entries != 0xffff) ||
        load<uint64_t>(wide + 24) != large.entries) {
      throw bad("ZIP64 end record differs from the end record");
    }
    directory = large;
  }
  if (directory.offset > end || directory.size != end - directory.offset) {
    throw bad_data(
        where_, "central directory does not end at the end record",
        {.found = std::to_string(directory.size) + " bytes at byte " + std::to_string(directory.offset)});
  }
  if (directory.entries > kMostEntries) {
    throw bad_data(
        where_, "too many zip entries",
        {.found = std::to_string(directory.entries), .expected = "at most " + std::to_string(kMostEntries)});
  }
  return directory;
}

void ZipReader::read_entry(std::span<const std::byte> directory, uint64_t& position, uint64_t data_end) {
  ByteReader in(directory.subspan(position), where_ + ": central directory");
  const std::byte* record = in.take(kCentralSize, "an entry").data();
  if (load<uint32_t>(record) != kCentralSignature)
    throw bad_data(where_, "central directory entry has no signature");
  Header central{.flags = load<uint16_t>(record + 8),
                 .method = load<uint16_t>(record + 10),
                 .crc = load<uint32_t>(record + 16),
                 .stored = load<uint32_t>(record + 20),
                 .size = load<uint32_t>(record + 24),
                 .local = load<uint32_t>(record + 42)};
  const std::string_view name = in.text(load<uint16_t>(record + 28), "entry name");
  const auto extra = in.take(load<uint16_t>(record + 30), "extra fields");
  in.take(load<uint16_t>(record + 32), "comment");
  position += in.position();

  const std::string where = where_ + ": entry " + in_quotes(name);
  check_name(name, where);
  read_zip64(extra, central, where);
  check_stored(central, where);
  if (central.local > data_end) throw bad_data(where, "local header lies behind the data");

  ByteReader local_in(bytes_.subspan(central.local, data_end - central.local), where);
  const std::byte* local = local_in.take(kLocalSize, "local header").data();
  if (load<uint32_t>(local) != kLocalSignature) throw bad_data(where, "local header has no signature");
  check_local({.flags = load<uint16_t>(local + 6),
               .method = load<uint16_t>(local + 8),
               .crc = load<uint32_t>(local + 14),
               .stored = load<uint32_t>(local + 18),
               .size = load<uint32_t>(local + 22)},
              central, where);
  if (local_in.text(load<uint16_t>(local + 26), "local name") != name)
    throw bad_data(where, "local header has another name");
  local_in.take(load<uint16_t>(local + 28), "local extra fields");
  const auto data = local_in.take(central.size, "data");
  if ((central.flags & kDescriptorFlag) != 0) check_descriptor(local_in.rest(), central, where);

  if (!by_name_.emplace(name, entries_.size()).second) throw bad_data(where, "two entries of this name");
  entries_.push_back({.name = name, .data = data, .crc = central.crc});
  ranges_.push_back({.begin = central.local, .end = central.local + local_in.position(), .name = name});
}

void ZipReader::check_overlaps() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].begin < ranges_[i - 1].end) {
      throw bad_data(where_ + ": entry " + in_quotes(ranges_[i].name),
                     "overlaps entry " + in_quotes(ranges_[i - 1].name));
    }
  }
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

std::span<const std::byte> ZipReader::read(const ZipEntry& entry) const {
  if (crc32(entry.data) != entry.crc)
    throw bad_data(where_ + ": entry " + in_quotes(entry.name), "CRC is wrong",
                   {.hint = "the file is damaged"});
  return entry.data;
}

}  // namespace moellava
