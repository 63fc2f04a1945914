// Counter-based random numbers: a pure function of (seed, stream, counter), so that what is drawn at a step
// does not depend on what was drawn before it, and resume needs no generator state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace moellava {

// SplitMix64's finaliser (Steele, Lea, Flood 2014), applied over the three words in turn.
inline uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t counter) {
  auto mix = [](uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  };
  return mix(mix(mix(seed) ^ stream) ^ counter);
}

// Uniform in [0, 1).
inline double random_unit(uint64_t seed, uint64_t stream, uint64_t counter) {
  return static_cast<double>(random_bits(seed, stream, counter) >> 11) * 0x1.0p-53;
}

// The numbers 0..n-1 in random order (Fisher-Yates).
inline std::vector<size_t> random_permutation(size_t n, uint64_t seed, uint64_t stream) {
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random_bits(seed, stream, i) % i]);
  return order;
}

}  // namespace moellava
