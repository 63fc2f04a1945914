// A fast 64-bit hash of many bytes: to notice damage and change, not to protect against intent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace moellava {

// Eight bytes at a time, several GB/s; the order of the machine's bytes enters, so it is for one machine.
inline uint64_t bulk_hash(std::span<const std::byte> bytes, uint64_t seed = 0) {
  uint64_t hash = seed ^ (bytes.size() * 0x9e3779b97f4a7c15ull);
  auto add = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0xff51afd7ed558ccdull;
    hash ^= hash >> 32;
  };
  for (; bytes.size() >= sizeof(uint64_t); bytes = bytes.subspan(sizeof(uint64_t))) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    add(word);
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  add(rest);
  return hash;
}

}  // namespace moellava
