// Which samples meet in a step: a pure function of (seed, step, lengths), so that a resumed run sees what the
// uninterrupted one would have seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moellava {

using Batch = std::vector<size_t>;  // sample numbers

// One epoch: every sample exactly once, in batches of similar length to save padding. A random permutation is
// cut into megabatches, each is sorted by length and cut into batches, and the batches are shuffled. The last
// batch cut may be smaller than `batch_size`.
std::vector<Batch> epoch_batches(uint64_t seed, int64_t epoch, const std::vector<int64_t>& lengths,
                                 size_t batch_size);

class BatchPlan {
 public:
  // `lengths`: positions of each sample in the decoder, pictures included. A step's batch has
  // micro_batch * accumulation samples.
  BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation);

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t steps(double epochs) const;  // rounded up, at least 1

  // The micro-batches of a step, at most `accumulation`, none empty. Samples of similar length stand
  // together; within a micro-batch they keep the dataset's order.
  std::vector<Batch> micro_batches(int64_t step) const;

 private:
  uint64_t seed_;
  std::vector<int64_t> lengths_;
  size_t micro_batch_;
  size_t batch_;
  int64_t steps_per_epoch_;
  // The epoch last asked for: making one costs a sort of the whole dataset.
  mutable int64_t cached_epoch_ = -1;
  mutable std::vector<Batch> cached_;
};

}  // namespace moellava
