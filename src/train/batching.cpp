#include "train/batching.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"

namespace moellava {

namespace {

// Streams of the run's seed. Two an epoch: which samples, and in which order the batches come. The samples
// without pictures have streams of their own when the modalities are apart.
uint64_t sample_stream(int64_t epoch) {
  return 2 * static_cast<uint64_t>(epoch);
}
uint64_t order_stream(int64_t epoch) {
  return 2 * static_cast<uint64_t>(epoch) + 1;
}
uint64_t text_stream(int64_t epoch) {
  return ~static_cast<uint64_t>(epoch);
}

// Large enough to find samples of equal length, small enough to leave a random order: a quarter of the data,
// at most 50 batches.
size_t megabatch_size(size_t samples, size_t batch_size) {
  return std::clamp<size_t>(samples / (4 * batch_size), 1, 50) * batch_size;
}

// The longest first, each sample to the micro-batch that is shortest so far and not full.
Batch dealt_evenly(Batch step, const std::vector<int64_t>& lengths, size_t micro_batches) {
  std::stable_sort(step.begin(), step.end(), [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  const size_t room = step.size() / micro_batches;
  std::vector<Batch> parts(micro_batches);
  std::vector<int64_t> totals(micro_batches);
  for (size_t sample : step) {
    size_t shortest = micro_batches;
    for (size_t i = 0; i < micro_batches; ++i) {
      if (parts[i].size() < room && (shortest == micro_batches || totals[i] < totals[shortest])) shortest = i;
    }
    parts[shortest].push_back(sample);
    totals[shortest] += lengths[sample];
  }
  Batch dealt;
  for (const Batch& part : parts) dealt.insert(dealt.end(), part.begin(), part.end());
  return dealt;
}

// Cuts random permutations of `samples` into whole steps, appended to `steps`; returns what is left over.
Batch cut_steps(const std::vector<size_t>& samples, uint64_t seed, uint64_t stream, size_t batch_size,
                std::vector<Batch>& steps) {
  Batch step;
  for (size_t i : random_permutation(samples.size(), seed, stream)) {
    step.push_back(samples[i]);
    if (step.size() < batch_size) continue;
    steps.push_back(std::move(step));
    step = {};
  }
  return step;
}

}  // namespace

std::vector<Batch> epoch_batches_by_modality(uint64_t seed, int64_t epoch,
                                             const std::vector<int64_t>& lengths,
                                             const std::vector<bool>& has_pictures, size_t batch_size,
                                             size_t micro_batches) {
  std::vector<size_t> with, without;
  for (size_t i = 0; i < lengths.size(); ++i) (has_pictures[i] ? with : without).push_back(i);
  std::vector<Batch> whole;
  Batch rest = cut_steps(with, seed, sample_stream(epoch), batch_size, whole);
  const Batch text_rest = cut_steps(without, seed, text_stream(epoch), batch_size, whole);
  rest.insert(rest.end(), text_rest.begin(), text_rest.end());
  std::sort(rest.begin(), rest.end());

  std::vector<Batch> batches;
  for (size_t i : random_permutation(whole.size(), seed, order_stream(epoch)))
    batches.push_back(dealt_evenly(std::move(whole[i]), lengths, micro_batches));
  for (size_t i = 0; i < rest.size(); i += batch_size) {
    const auto begin = rest.begin() + static_cast<std::ptrdiff_t>(i);
    batches.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(std::min(batch_size, rest.size() - i)));
  }
  return batches;
}

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

BatchPlan::BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation,
                     std::vector<bool> has_pictures)
    : seed_(seed),
      lengths_(std::move(lengths)),
      has_pictures_(std::move(has_pictures)),
      micro_batch_(static_cast<size_t>(micro_batch)),
      batch_(static_cast<size_t>(micro_batch * accumulation)),
      steps_per_epoch_(static_cast<int64_t>((lengths_.size() + batch_ - 1) / batch_)) {}

int64_t BatchPlan::steps(double epochs) const {
  return std::max<int64_t>(1,
                           static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch_))));
}

std::vector<Batch> BatchPlan::epoch(int64_t number) const {
  if (has_pictures_.empty()) return epoch_batches(seed_, number, lengths_, batch_);
  return epoch_batches_by_modality(seed_, number, lengths_, has_pictures_, batch_, batch_ / micro_batch_);
}

std::vector<Batch> BatchPlan::micro_batches(int64_t step) const {
  const int64_t number = step / steps_per_epoch_;
  if (number != cached_epoch_) {
    cached_ = epoch(number);
    cached_epoch_ = number;
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
