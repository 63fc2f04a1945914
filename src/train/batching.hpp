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

// The same as the original's --group_by_modality_length: samples with pictures and samples without never meet
// in a step, but for one at the end of the epoch. Each set is permuted and cut into steps of `batch_size`
// samples; within a step samples are dealt out to micro-batches of about equal length in all; the steps come
// in random order. What is left of both sets comes last.
std::vector<Batch> epoch_batches_by_modality(uint64_t seed, int64_t epoch,
                                             const std::vector<int64_t>& lengths,
                                             const std::vector<bool>& has_pictures, size_t batch_size,
                                             size_t micro_batches);

class BatchPlan {
 public:
  // `lengths`: positions of each sample in the decoder, pictures included. A step's batch has
  // micro_batch * accumulation samples. With `has_pictures` [samples] batches are grouped by modality.
  BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation,
            std::vector<bool> has_pictures = {});

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t steps(double epochs) const;  // rounded up, at least 1

  // The micro-batches of a step, at most `accumulation`, none empty. Samples of similar length stand
  // together; within a micro-batch they keep the dataset's order.
  std::vector<Batch> micro_batches(int64_t step) const;

 private:
  std::vector<Batch> epoch(int64_t number) const;

  uint64_t seed_;
  std::vector<int64_t> lengths_;
  std::vector<bool> has_pictures_;  // empty: not grouped by modality
  size_t micro_batch_;
  size_t batch_;
  int64_t steps_per_epoch_;
  // The epoch last asked for: making one costs a sort of the whole dataset.
  mutable int64_t cached_epoch_ = -1;
  mutable std::vector<Batch> cached_;
};

}  // namespace moellava
