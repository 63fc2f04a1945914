#include "train/buckets.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace moellava {
namespace {

TEST(Buckets, OwnersGetAboutTheSame) {
  EXPECT_EQ(balanced_owners({5, 1, 4, 2}, 1), (std::vector<int>{0, 0, 0, 0}));
  // 5 | 4, then 2 to the second, 1 to the first.
  EXPECT_EQ(balanced_owners({5, 1, 4, 2}, 2), (std::vector<int>{0, 0, 1, 1}));
  // Equal ones take turns.
  EXPECT_EQ(balanced_owners({3, 3, 3, 3}, 3), (std::vector<int>{0, 1, 2, 0}));
}

TEST(Buckets, EveryValueTravelsOnceInPortionsOfTheLimit) {
  const std::vector<int64_t> sizes = {7, 3, 12, 1};
  for (const int ranks : {1, 2, 3}) {
    for (const int64_t limit : {1, 4, 5, 100}) {
      const std::vector<int> owners = balanced_owners(sizes, ranks);
      std::vector<std::vector<int>> seen;
      for (int64_t size : sizes) seen.emplace_back(static_cast<size_t>(size), 0);
      for (const Bucket& bucket : make_buckets(sizes, owners, ranks, limit)) {
        std::vector<int64_t> counts(static_cast<size_t>(ranks), 0);
        int owner = 0;
        for (const Piece& piece : bucket.pieces) {
          EXPECT_GE(owners[piece.parameter], owner);
          owner = owners[piece.parameter];
          counts[static_cast<size_t>(owner)] += piece.count;
          for (int64_t i = 0; i < piece.count; ++i)
            ++seen[piece.parameter].at(static_cast<size_t>(piece.begin + i));
        }
        EXPECT_EQ(counts, bucket.counts);
        EXPECT_LE(std::accumulate(counts.begin(), counts.end(), int64_t{0}), limit);
      }
      for (const auto& values : seen) EXPECT_EQ(values, std::vector<int>(values.size(), 1));
    }
  }
}

TEST(Buckets, TheLastParametersGoFirst) {
  const auto buckets = make_buckets({4, 4}, {0, 0}, 1, 4);
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0].pieces[0].parameter, 1u);
  EXPECT_EQ(buckets[1].pieces[0].parameter, 0u);
}

}  // namespace
}  // namespace moellava
