#include "base/crc.hpp"

#include <gtest/gtest.h>

#include <string>

namespace moellava {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Bit by bit, as the polynomial defines it.
uint32_t naive(const std::string& text, uint32_t polynomial) {
  uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (polynomial & (0u - (crc & 1)));
  }
  return ~crc;
}

TEST(Crc, CheckValues) {
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xcbf43926u);   // of CRC-32/ISO-HDLC
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);  // of CRC-32/ISCSI
  EXPECT_EQ(crc32({}), 0u);
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8a9136aau);  // RFC 3720, B.4
}

TEST(Crc, EveryLengthUpToTwoWordsAlsoInParts) {
  std::string text;
  for (int length = 0; length < 20; ++length, text += static_cast<char>('a' + length)) {
    EXPECT_EQ(crc32(bytes_of(text)), naive(text, 0xedb88320)) << length;
    EXPECT_EQ(crc32c(bytes_of(text)), naive(text, 0x82f63b78)) << length;
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      const uint32_t before = crc32c(bytes_of(text.substr(0, cut)));
      EXPECT_EQ(crc32c(bytes_of(text.substr(cut)), before), crc32c(bytes_of(text))) << length << " " << cut;
    }
  }
}

}  // namespace
}  // namespace moellava
