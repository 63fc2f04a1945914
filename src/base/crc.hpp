// The two 32-bit cyclic redundancy checks: to notice damage, not to protect against intent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace moellava {

// Of zip, gzip and PNG (CRC-32/ISO-HDLC). `before` is the sum of the bytes that come before, so that a file
// can be summed in parts.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);
// Castagnoli's polynomial (CRC-32/ISCSI), of TFRecord files and our checkpoints.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace moellava
