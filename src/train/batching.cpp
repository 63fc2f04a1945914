#include "train/batching.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"

namespace moellava {

namespace {

// Streams of the run's seed. Two an epoch: which samples, and in which order the batches come.
uint64_t sample_stream(int64_t epoch) {
  return 2 * static_cast<uint64_t>(epoch);
}
uint64_t order_stream(int64_t epoch) {
  return 2 * static_cast<uint64_t>(epoch) + 1;
}

// Large enough to find samples of equal length, small enough to leave a random order: a quarter of the data,
// at most 50 batches.
size_t megabatch_size(size_t samples, size_t batch_size) {
  return std::clamp<size_t>(samples / (4 * batch_size), 1, 50) * batch_size;
}

}  // namespace

std::vector<Batch> epoch_batches(uint64_t seed, int64_t epoch, const std::vector<int64_t>& lengths,
                                 size_t batch_size) {
  std::vector<size_t> samples = random_permutation(lengths.size(), seed, sample_stream(epoch));
  const size_t mega = megabatch_size(samples.size(), batch_size);
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < samples.size(); begin += mega) {
    const size_t end = std::min(begin + mega, samples.size());
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = samples.begin() + static_cast<std::ptrdiff_t>(end);
    std::stable_sort(first, last, [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
    for (size_t i = begin; i < end; i += batch_size) {
      const size_t stop = std::min(i + batch_size, end);
      batches.emplace_back(samples.begin() + static_cast<std::ptrdiff_t>(i),
                           samples.begin() + static_cast<std::ptrdiff_t>(stop));
    }
  }
  std::vector<Batch> shuffled;
  for (size_t i : random_permutation(batches.size(), seed, order_stream(epoch)))
    shuffled.push_back(std::move(batches[i]));
  return shuffled;
}

BatchPlan::BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation)
    : seed_(seed),
      lengths_(std::move(lengths)),
      micro_batch_(static_cast<size_t>(micro_batch)),
      batch_(static_cast<size_t>(micro_batch * accumulation)),
      steps_per_epoch_(static_cast<int64_t>((lengths_.size() + batch_ - 1) / batch_)) {}

int64_t BatchPlan::steps(double epochs) const {
  return std::max<int64_t>(1,
                           static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch_))));
}

std::vector<Batch> BatchPlan::micro_batches(int64_t step) const {
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != cached_epoch_) {
    cached_ = epoch_batches(seed_, epoch, lengths_, batch_);
    cached_epoch_ = epoch;
  }
  const Batch& batch = cached_[static_cast<size_t>(step % steps_per_epoch_)];
  std::vector<Batch> parts;
  for (size_t i = 0; i < batch.size(); i += micro_batch_) {
    const size_t end = std::min(i + micro_batch_, batch.size());
    Batch& part = parts.emplace_back(batch.begin() + static_cast<std::ptrdiff_t>(i),
                                     batch.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(part.begin(), part.end());
  }
  return parts;
}

}  // namespace moellava
