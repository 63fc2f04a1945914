// Which samples meet in a step: a pure function of (seed, step, lengths), so that a resumed run sees what the
// uninterrupted one would have seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moellava {

using Batch = std::vector<size_t>;  // sample numbers

// Which samples may meet in a step.
struct BatchGrouping {
  // Samples of similar length, to save padding: a random permutation is cut into megabatches, and each is
  // sorted by length before steps are cut from it.
  bool by_length = true;
  // [samples], or empty: samples with pictures and samples without never meet, but in the steps that end an
  // epoch. Without `by_length` a step's samples are dealt out to micro-batches of about equal length in all.
  // This is the original's --group_by_modality_length.
  std::vector<bool> has_pictures = {};
};

// One epoch: every sample exactly once, in steps of `batch_size` samples for `micro_batches` micro-batches
// each. The steps come in random order; what does not fill a step comes last.
std::vector<Batch> epoch_batches(uint64_t seed, int64_t epoch, const std::vector<int64_t>& lengths,
                                 const BatchGrouping& grouping, size_t batch_size, size_t micro_batches);

class BatchPlan {
 public:
  // `lengths`: positions of each sample in the decoder, pictures included. A step's batch has
  // micro_batch * accumulation samples, over all processes.
  BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation,
            BatchGrouping grouping = {});

  size_t accumulation() const { return batch_ / micro_batch_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t steps(double epochs) const;  // rounded up, at least 1

  // The micro-batches of a step, at most `accumulation`, none empty. Within one, samples keep the dataset's
  // order.
  std::vector<Batch> micro_batches(int64_t step) const;

 private:
  std::vector<Batch> epoch(int64_t number) const;

  uint64_t seed_;
  std::vector<int64_t> lengths_;
  BatchGrouping grouping_;
  size_t micro_batch_;
  size_t batch_;
  int64_t steps_per_epoch_;
  // The epoch last asked for: making one costs a sort of the whole dataset.
  mutable int64_t cached_epoch_ = -1;
  mutable std::vector<Batch> cached_;
};

}  // namespace moellava
