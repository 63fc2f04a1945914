// How parameters are dealt out to processes, and in which portions their values travel. R ranks of a
// communicator, P parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moellava {

// [P] the rank that has each parameter's optimiser state: the largest first, each to the rank that has least
// so far. Whole parameters, as in PyTorch's ZeroRedundancyOptimizer.
std::vector<int> balanced_owners(const std::vector<int64_t>& sizes, int ranks);

// `count` values from `begin` on of parameter number `parameter`.
struct Piece {
  size_t parameter;
  int64_t begin, count;
};
// What travels at once.
struct Bucket {
  std::vector<Piece> pieces;    // by owner, rank 0 first
  std::vector<int64_t> counts;  // [R] values of each owner's pieces
};
// Buckets of at most `limit` values, the last parameters first: their gradients are ready first.
std::vector<Bucket> make_buckets(const std::vector<int64_t>& sizes, const std::vector<int>& owners, int ranks,
                                 int64_t limit);

}  // namespace moellava
