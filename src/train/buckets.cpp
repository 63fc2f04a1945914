#include "train/buckets.hpp"

#include <algorithm>
#include <numeric>

namespace moellava {

std::vector<int> balanced_owners(const std::vector<int64_t>& sizes, int ranks) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });
  std::vector<int64_t> load(static_cast<size_t>(ranks), 0);
  std::vector<int> owners(sizes.size());
  for (size_t parameter : order) {
    const auto least = std::min_element(load.begin(), load.end());
    owners[parameter] = static_cast<int>(least - load.begin());
    *least += sizes[parameter];
  }
  return owners;
}

std::vector<Bucket> make_buckets(const std::vector<int64_t>& sizes, const std::vector<int>& owners, int ranks,
                                 int64_t limit) {
  std::vector<Bucket> buckets;
  int64_t room = 0;
  for (size_t parameter = sizes.size(); parameter-- > 0;) {
    for (int64_t begin = 0; begin < sizes[parameter];) {
      if (room == 0) {
        buckets.push_back({.pieces = {}, .counts = std::vector<int64_t>(static_cast<size_t>(ranks), 0)});
        room = limit;
      }
      const int64_t count = std::min(room, sizes[parameter] - begin);
      buckets.back().pieces.push_back({.parameter = parameter, .begin = begin, .count = count});
      buckets.back().counts[static_cast<size_t>(owners[parameter])] += count;
      begin += count;
      room -= count;
    }
  }
  for (Bucket& bucket : buckets) {
    std::stable_sort(bucket.pieces.begin(), bucket.pieces.end(), [&](const Piece& a, const Piece& b) {
      return owners[a.parameter] < owners[b.parameter];
    });
  }
  return buckets;
}

}  // namespace moellava
