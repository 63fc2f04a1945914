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
    for (const Batch& batch : epoch_batches(42, 3, lengths, {}, 8, 1)) {
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
  const auto batches = epoch_batches(1, 0, lengths, {}, 4, 1);
  EXPECT_NE(batches, epoch_batches(2, 0, lengths, {}, 4, 1));
  EXPECT_NE(batches, epoch_batches(1, 1, lengths, {}, 4, 1));
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

int64_t padding(const std::vector<Batch>& batches, const std::vector<int64_t>& lengths) {
  int64_t sum = -std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  for (const Batch& batch : batches) sum += padded(batch, lengths);
  return sum;
}

TEST(Batching, LengthBucketsSaveMostOfThePadding) {
  const std::vector<int64_t> lengths = random_lengths(1000);
  const int64_t bucketed = padding(epoch_batches(9, 0, lengths, {}, 8, 1), lengths);
  const int64_t random = padding(epoch_batches(9, 0, lengths, {.by_length = false}, 8, 1), lengths);
  EXPECT_LT(static_cast<double>(bucketed), 0.1 * static_cast<double>(random));
}

// By modality; every third sample is text.
BatchGrouping mixed(size_t count, bool by_length = false) {
  BatchGrouping grouping{.by_length = by_length};
  for (size_t i = 0; i < count; ++i) grouping.has_pictures.push_back(i % 3 != 0);
  return grouping;
}

TEST(Batching, ModalitiesMeetOnlyAtTheEndOfTheEpoch) {
  for (size_t count : {1u, 8u, 100u, 1003u}) {
    const BatchGrouping grouping = mixed(count);
    const std::vector<bool>& has_pictures = grouping.has_pictures;
    std::vector<int> seen(count, 0);
    const auto batches = epoch_batches(42, 1, random_lengths(count), grouping, 8, 4);
    EXPECT_EQ(batches.size(), (count + 7) / 8);
    size_t left_over = 0;
    bool text_came_before_pictures = false, text = false;
    for (const Batch& batch : batches) {
      for (size_t i : batch) ++seen[i];
      const auto with = static_cast<size_t>(
          std::count_if(batch.begin(), batch.end(), [&](size_t i) { return has_pictures[i]; }));
      const bool pure = with == 0 || with == batch.size();
      if (!pure || batch.size() < 8) left_over += batch.size();
      if (left_over == 0) {
        EXPECT_EQ(batch.size(), 8u);
        text_came_before_pictures = text_came_before_pictures || (text && with > 0);
        text = with == 0;
      }
    }
    EXPECT_LT(left_over, 16u);
    EXPECT_EQ(seen, std::vector<int>(count, 1)) << count << " samples";
    EXPECT_EQ(text_came_before_pictures, count >= 100);
  }
}

TEST(Batching, MicroBatchesOfAModalityAreEquallyLong) {
  const std::vector<int64_t> lengths = random_lengths(600);
  const BatchPlan plan(3, lengths, 4, 8, mixed(600));
  const auto total = [&](const Batch& batch) {
    int64_t sum = 0;
    for (size_t i : batch) sum += lengths[i];
    return static_cast<double>(sum);
  };
  double worst = 1;
  for (int64_t step = 0; step < plan.steps_per_epoch() - 2; ++step) {
    std::vector<double> totals;
    for (const Batch& part : plan.micro_batches(step)) totals.push_back(total(part));
    EXPECT_EQ(totals.size(), 8u);
    worst = std::max(worst, *std::max_element(totals.begin(), totals.end()) /
                                *std::min_element(totals.begin(), totals.end()));
  }
  EXPECT_LT(worst, 1.6);  // taken as they come, the longest would be several times the shortest
}

TEST(Batching, ModalitiesMayBeApartAndLengthsTogether) {
  const std::vector<int64_t> lengths = random_lengths(1000);
  const BatchGrouping grouping = mixed(1000, /*by_length=*/true);
  const auto batches = epoch_batches(9, 0, lengths, grouping, 8, 1);
  for (size_t i = 0; i + 2 < batches.size(); ++i) {
    for (size_t sample : batches[i])
      EXPECT_EQ(grouping.has_pictures[sample], grouping.has_pictures[batches[i][0]]);
  }
  EXPECT_LT(padding(batches, lengths), padding(epoch_batches(9, 0, lengths, mixed(1000), 8, 1), lengths) / 4);
}

TEST(Batching, ModalityPlansArePureFunctionsOfTheStep) {
  const std::vector<int64_t> lengths = random_lengths(101);
  const BatchPlan plan(7, lengths, 4, 2, mixed(101));
  const int64_t steps = 2 * plan.steps_per_epoch();
  std::vector<std::vector<Batch>> forwards;
  for (int64_t step = 0; step < steps; ++step) forwards.push_back(plan.micro_batches(step));
  const BatchPlan again(7, lengths, 4, 2, mixed(101));
  for (int64_t step = steps - 1; step >= 0; --step)
    EXPECT_EQ(again.micro_batches(step), forwards[static_cast<size_t>(step)]);
  EXPECT_NE(forwards[0], forwards[static_cast<size_t>(plan.steps_per_epoch())]);
  EXPECT_NE(forwards[0], BatchPlan(8, lengths, 4, 2, mixed(101)).micro_batches(0));
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
