// Size arithmetic that cannot wrap: every size, offset or product that comes out of a file goes through here.
#pragma once

#include <cstdint>
#include <optional>

namespace moellava {

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// Product of all dimensions, or nothing when one is negative or the product exceeds int64.
template <typename Shape>
std::optional<uint64_t> checked_numel(const Shape& shape) {
  uint64_t numel = 1;
  for (auto dim : shape) {
    if (dim < 0) return std::nullopt;
    const auto next = checked_mul(numel, static_cast<uint64_t>(dim));
    if (!next || *next > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    numel = *next;
  }
  return numel;
}

}  // namespace moellava
