#include "train/memory_meter.hpp"

#include <c10/core/Allocator.h>

#include <algorithm>

namespace moellava {

// libtorch's allocator tells it of every tensor's memory.
class MemoryMeter::Counter : public c10::MemoryReportingInfoBase {
 public:
  int64_t now = 0, peak = 0;

  void reportMemoryUsage(void* /*memory*/, int64_t bytes, size_t /*allocated*/, size_t /*reserved*/,
                         c10::Device /*device*/) override {
    now += bytes;  // less than 0 when freed
    peak = std::max(peak, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
};

MemoryMeter::MemoryMeter()
    : counter_(std::make_shared<Counter>()), guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

int64_t MemoryMeter::now() const {
  return counter_->now;
}

int64_t MemoryMeter::peak() const {
  return counter_->peak;
}

void MemoryMeter::forget_peak() {
  counter_->peak = counter_->now;
}

}  // namespace moellava
