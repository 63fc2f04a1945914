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

// A random permutation of `samples`, in megabatches sorted by length if so asked.
Batch in_order(const Batch& samples, const std::vector<int64_t>& lengths, bool by_length, size_t batch_size,
               uint64_t seed, uint64_t stream) {
  Batch order;
  for (size_t i : random_permutation(samples.size(), seed, stream)) order.push_back(samples[i]);
  if (!by_length) return order;
  const size_t mega = megabatch_size(order.size(), batch_size);
  for (size_t begin = 0; begin < order.size(); begin += mega) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + mega, order.size()));
    std::stable_sort(first, last, [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  }
  return order;
}

// Cuts `samples` into whole steps, appended to `steps`, and appends what is left to `rest`.
void cut_steps(const Batch& samples, size_t batch_size, std::vector<Batch>& steps, Batch& rest) {
  const auto begin = samples.begin();
  size_t at = 0;
  for (; at + batch_size <= samples.size(); at += batch_size) {
    steps.emplace_back(begin + static_cast<std::ptrdiff_t>(at),
                       begin + static_cast<std::ptrdiff_t>(at + batch_size));
  }
  rest.insert(rest.end(), begin + static_cast<std::ptrdiff_t>(at), samples.end());
}

}  // namespace

std::vector<Batch> epoch_batches(uint64_t seed, int64_t epoch, const std::vector<int64_t>& lengths,
                                 const BatchGrouping& grouping, size_t batch_size, size_t micro_batches) {
  const bool by_modality = !grouping.has_pictures.empty();
  Batch with, without;
  for (size_t i = 0; i < lengths.size(); ++i)
    (!by_modality || grouping.has_pictures[i] ? with : without).push_back(i);
  std::vector<Batch> whole;
  Batch rest;
  cut_steps(in_order(with, lengths, grouping.by_length, batch_size, seed, sample_stream(epoch)), batch_size,
            whole, rest);
  cut_steps(in_order(without, lengths, grouping.by_length, batch_size, seed, text_stream(epoch)), batch_size,
            whole, rest);

  std::vector<Batch> batches;
  for (size_t i : random_permutation(whole.size(), seed, order_stream(epoch))) {
    const bool deal = by_modality && !grouping.by_length;
    batches.push_back(deal ? dealt_evenly(std::move(whole[i]), lengths, micro_batches) : std::move(whole[i]));
  }
  std::sort(rest.begin(), rest.end());
  Batch last;
  cut_steps(rest, batch_size, batches, last);
  if (!last.empty()) batches.push_back(std::move(last));
  return batches;
}

BatchPlan::BatchPlan(uint64_t seed, std::vector<int64_t> lengths, int64_t micro_batch, int64_t accumulation,
                     BatchGrouping grouping)
    : seed_(seed),
      lengths_(std::move(lengths)),
      grouping_(std::move(grouping)),
      micro_batch_(static_cast<size_t>(micro_batch)),
      batch_(static_cast<size_t>(micro_batch * accumulation)),
      steps_per_epoch_(static_cast<int64_t>((lengths_.size() + batch_ - 1) / batch_)) {}

int64_t BatchPlan::steps(double epochs) const {
  return std::max<int64_t>(1,
                           static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch_))));
}

std::vector<Batch> BatchPlan::epoch(int64_t number) const {
  return epoch_batches(seed_, number, lengths_, grouping_, batch_, batch_ / micro_batch_);
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
