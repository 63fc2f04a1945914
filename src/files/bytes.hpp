// Little-endian numbers: bounded reads from untrusted bytes, and bytes to be written.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace moellava {

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

// The bytes may be unaligned; the caller has checked that sizeof(T) of them are there.
template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The other way round.
template <typename T>
std::string raw_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// Reads forward through `bytes`; running past the end throws BadData with the position.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // `what` says in errors what was to be read.
  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > remaining()) {
      throw bad_data(where_, "truncated",
                     {.found = std::to_string(remaining()) + " bytes",
                      .expected = std::to_string(count) + " bytes of " + std::string(what),
                      .at = "byte " + std::to_string(position_)});
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  template <typename T>
  T read(std::string_view what) {
    return load<T>(take(sizeof(T), what).data());
  }
  std::string_view text(uint64_t count, std::string_view what) {
    const auto taken = take(count, what);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  std::span<const std::byte> rest() const { return bytes_.subspan(position_); }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  uint64_t position_ = 0;
};

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace moellava
