// Which bytes of a text have a property (trusted, target), as ranges in ascending order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace moellava {

class ByteRanges {
 public:
  // Adds [begin, end), which lies behind all that was added before; touching ranges become one.
  void append(size_t begin, size_t end) {
    if (begin == end) return;
    if (!ranges_.empty() && ranges_.back().end == begin) {
      ranges_.back().end = end;
    } else {
      ranges_.push_back({begin, end});
    }
  }
  // Every byte of [begin, end).
  bool contain(size_t begin, size_t end) const {
    const auto range = ending_after(begin);
    return range != ranges_.end() && range->begin <= begin && range->end >= end;
  }
  // At least one byte of [begin, end).
  bool touch(size_t begin, size_t end) const {
    const auto range = ending_after(begin);
    return range != ranges_.end() && range->begin < end;
  }

 private:
  struct Range {
    size_t begin, end;
  };
  std::vector<Range>::const_iterator ending_after(size_t at) const {
    return std::upper_bound(ranges_.begin(), ranges_.end(), at,
                            [](size_t value, const Range& range) { return value < range.end; });
  }
  std::vector<Range> ranges_;
};

}  // namespace moellava
