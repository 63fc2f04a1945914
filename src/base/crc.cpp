#include "base/crc.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace moellava {

namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

// "Slicing by 8" (Kounavis and Berry, 2005): table s has the effect of a byte that s more bytes follow.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables(uint32_t reflected_polynomial) {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? reflected_polynomial : 0u);
    tables[0][i] = crc;
  }
  for (size_t slice = 1; slice < 8; ++slice) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[slice - 1][i];
      tables[slice][i] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables32 = make_tables(0xedb88320);
constexpr Tables kTables32c = make_tables(0x82f63b78);

uint32_t checksum(const Tables& tables, std::span<const std::byte> bytes, uint32_t before) {
  uint32_t crc = ~before;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; left > 0; ++at, --left) crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<uint32_t>(*at)) & 0xff];
  return ~crc;
}

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t before) {
  return checksum(kTables32, bytes, before);
}

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before) {
  return checksum(kTables32c, bytes, before);
}

}  // namespace moellava
