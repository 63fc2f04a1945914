// For tests and fuzz targets: puts the bytes of small files together, good and bad ones.
#pragma once

#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/crc.hpp"

namespace moellava::test {

// A literal with its zero bytes.
template <size_t N>
std::string raw(const char (&text)[N]) {
  return {text, N - 1};
}

template <typename T>
std::string le(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

inline std::string safetensors(const std::string& header, const std::string& data = "") {
  return le<uint64_t>(header.size()) + header + data;
}

// A zip archive of stored entries; a hook may falsify a header before it is written.
struct ZipHeader {
  std::string name;
  std::string data;
  uint16_t flags = 1 << 11;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint32_t stored = 0;
  uint32_t size = 0;
  uint32_t local = 0;
  std::string extra = {};
};

class ZipBuilder {
 public:
  using Falsify = std::function<void(ZipHeader& local, ZipHeader& central)>;

  ZipBuilder& add(const std::string& name, const std::string& data, const Falsify& falsify = nullptr) {
    ZipHeader central{.name = name, .data = data};
    central.crc = crc32(bytes_of(data));
    central.stored = central.size = static_cast<uint32_t>(data.size());
    central.local = static_cast<uint32_t>(file_.size());
    ZipHeader local = central;
    if (falsify) falsify(local, central);
    file_ += raw("PK\3\4") + le<uint16_t>(20) + le(local.flags) + le(local.method) + le<uint32_t>(0) +
             le(local.crc) + le(local.stored) + le(local.size) +
             le(static_cast<uint16_t>(local.name.size())) + le(static_cast<uint16_t>(local.extra.size())) +
             local.name + local.extra + local.data;
    directory_ += raw("PK\1\2") + le<uint16_t>(20) + le<uint16_t>(20) + le(central.flags) +
                  le(central.method) + le<uint32_t>(0) + le(central.crc) + le(central.stored) +
                  le(central.size) + le(static_cast<uint16_t>(central.name.size())) +
                  le(static_cast<uint16_t>(central.extra.size())) + le<uint16_t>(0) + le<uint16_t>(0) +
                  le<uint16_t>(0) + le<uint32_t>(0) + le(central.local) + central.name + central.extra;
    ++count_;
    return *this;
  }

  std::string finish() const { return file_ + directory_ + end(count_, directory_.size(), file_.size()); }

  // The same with a ZIP64 end record, as torch.save always writes one.
  std::string finish64(bool saturated = false) const {
    const uint64_t start = file_.size();
    return file_ + directory_ + raw("PK\6\6") + le<uint64_t>(44) + le<uint16_t>(45) + le<uint16_t>(45) +
           le<uint32_t>(0) + le<uint32_t>(0) + le<uint64_t>(count_) + le<uint64_t>(count_) +
           le<uint64_t>(directory_.size()) + le(start) + raw("PK\6\7") + le<uint32_t>(0) +
           le<uint64_t>(start + directory_.size()) + le<uint32_t>(1) +
           (saturated ? end(0xffff, 0xffffffff, 0xffffffff) : end(count_, directory_.size(), start));
  }

  static std::string end(size_t count, size_t size, size_t offset) {
    return raw("PK\5\6") + le<uint32_t>(0) + le(static_cast<uint16_t>(count)) +
           le(static_cast<uint16_t>(count)) + le(static_cast<uint32_t>(size)) +
           le(static_cast<uint32_t>(offset)) + le<uint16_t>(0);
  }

  const std::string& entries() const { return file_; }
  const std::string& directory() const { return directory_; }
  size_t count() const { return count_; }

 private:
  std::string file_;
  std::string directory_;
  size_t count_ = 0;
};

// ---- pickles

inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string text(const std::string& value) {
  return "X" + le(static_cast<uint32_t>(value.size())) + value;
}
inline std::string integer(int64_t value) {
  return "\x8a\x08" + le(value);
}
inline std::string tuple(const std::vector<int64_t>& values) {
  std::string bytes = "(";
  for (const int64_t value : values) bytes += integer(value);
  return bytes + "t";
}
inline std::string storage(const std::string& type, const std::string& key, int64_t numel,
                           const std::string& device = "cpu") {
  return "(" + text("storage") + global("torch", type) + text(key) + text(device) + integer(numel) + "tQ";
}
// The call that rebuilds a tensor from pickled arguments.
inline std::string tensor(const std::string& storage_bytes, int64_t offset, const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& stride) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage_bytes + integer(offset) + tuple(shape) +
         tuple(stride) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
// A whole pickle: a dict of these pickled keys and values.
inline std::string dict_pickle(const std::string& items) {
  return raw("\x80\x02") + "}(" + items + "u.";
}

inline std::string torch_zip(const std::string& pickle,
                             const std::vector<std::pair<std::string, std::string>>& storages = {}) {
  ZipBuilder zip;
  zip.add("m/data.pkl", pickle);
  for (const auto& [key, data] : storages) zip.add("m/data/" + key, data);
  return zip.add("m/version", "3\n").finish64();
}

inline std::string torch_legacy(const std::string& pickle,
                                const std::vector<std::pair<std::string, std::string>>& storages = {}) {
  std::string keys = raw("\x80\x02](");
  for (const auto& [key, data] : storages) keys += text(key);
  std::string file = raw("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.") +
                     raw("\x80\x02M\xe9\x03.") + raw("\x80\x02}.") + pickle + keys + "e.";
  for (const auto& [key, data] : storages) file += data;  // each with its count of values before it
  return file;
}

}  // namespace moellava::test
