// How many bytes of tensors this thread has made and not freed.
#pragma once

#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstdint>
#include <memory>

namespace moellava {

// Counts from its making to its end. One at a time; tensors of before are better freed before or after it.
class MemoryMeter {
 public:
  MemoryMeter();

  int64_t now() const;
  int64_t peak() const;  // since the beginning or the last forget_peak
  void forget_peak();

 private:
  class Counter;
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace moellava
