#include "train/batching.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.hpp"

namespace moellava {
namespace {

std::vector<int64_t> random_lengths(size_t count) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < count; ++i) lengths.push_back(static_cast<int64_t>(10 + random_bits(3, 1, i) % 200));
  return lengths;
}

// Positions computed for a batch: all its rows are as long as the longest.
int64_t padded(const Batch& batch, const std::vector<int64_t>& lengths) {
  int64_t longest = 0;
  for (size_t i : batch) longest = std::max(longest, lengths[i]);
  return longest * static_cast<int64_t>(batch.size());
}

TEST(Batching, EverySampleComesExactlyOnceAnEpoch) {
  for (size_t count : {1u, 7u, 8u, 9u, 100u, 1003u}) {
    const std::vector<int64_t> lengths = random_lengths(count);
    std::vector<int> seen(count, 0);
    for (const Batch& batch : epoch_batches(42, 3, lengths, 8)) {
      EXPECT_LE(batch.size(), 8u);
      EXPECT_FALSE(batch.empty());
      for (size_t i : batch) ++seen[i];
    }
    EXPECT_EQ(seen, std::vector<int>(count, 1)) << count << " samples";
  }
}

TEST(Batching, APlanIsAPureFunctionOfTheStep) {
  const std::vector<int64_t> lengths = random_lengths(101);
  const BatchPlan forwards(7, lengths, 4, 2);
  const int64_t steps = 3 * forwards.steps_per_epoch();
  std::vector<std::vector<Batch>> expected;
  for (int64_t step = 0; step < steps; ++step) expected.push_back(forwards.micro_batches(step));
  const BatchPlan backwards(7, lengths, 4, 2);
  for (int64_t step = steps - 1; step >= 0; --step)
    EXPECT_EQ(backwards.micro_batches(step), expected[static_cast<size_t>(step)]) << step;
}

TEST(Batching, SeedAndEpochChangeTheOrder) {
  const std::vector<int64_t> lengths = random_lengths(64);
  const auto batches = epoch_batches(1, 0, lengths, 4);
  EXPECT_NE(batches, epoch_batches(2, 0, lengths, 4));
  EXPECT_NE(batches, epoch_batches(1, 1, lengths, 4));
}

TEST(Batching, MicroBatchesCutAStepAndKeepTheDatasetsOrder) {
  const BatchPlan plan(5, random_lengths(22), 4, 3);
  EXPECT_EQ(plan.steps_per_epoch(), 2);
  size_t samples = 0;
  for (int64_t step = 0; step < 2; ++step) {
    const std::vector<Batch> parts = plan.micro_batches(step);
    EXPECT_LE(parts.size(), 3u);
    for (const Batch& part : parts) {
      EXPECT_LE(part.size(), 4u);
      EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
      samples += part.size();
    }
  }
  EXPECT_EQ(samples, 22u);
}

TEST(Batching, LengthBucketsSaveMostOfThePadding) {
  const std::vector<int64_t> lengths = random_lengths(1000);
  const int64_t needed = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  int64_t bucketed = 0;
  for (const Batch& batch : epoch_batches(9, 0, lengths, 8)) bucketed += padded(batch, lengths);
  int64_t naive = 0;
  for (size_t i = 0; i < lengths.size(); i += 8) {
    Batch batch(8);
    std::iota(batch.begin(), batch.end(), i);
    naive += padded(batch, lengths);
  }
  EXPECT_LT(static_cast<double>(bucketed - needed), 0.1 * static_cast<double>(naive - needed));
}

TEST(Batching, StepsRoundUp) {
  const BatchPlan plan(1, random_lengths(33), 4, 2);
  EXPECT_EQ(plan.steps_per_epoch(), 5);
  EXPECT_EQ(plan.steps(2), 10);
  EXPECT_EQ(plan.steps(0.5), 3);
  EXPECT_EQ(plan.steps(0.01), 1);
}

}  // namespace
}  // namespace moellava
