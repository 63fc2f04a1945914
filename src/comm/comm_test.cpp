// Runs as one process, and under mpirun as 2, 3 and 4 (cmake/Mpi.cmake): every test runs in every process.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <thread>

#include "base/random.hpp"
#include "comm/collectives.hpp"
#include "tests/mpi_processes.hpp"

namespace moellava {
namespace {

Communicator& all() {
  return testing::all_processes();
}

std::vector<float> random_floats(size_t count, uint64_t stream) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(random_unit(1, stream, i) - 0.5);
  return values;
}

TEST(Comm, RanksAreThoseOfTheLauncher) {
  const Launch launch = detect_launch(std::getenv);
  EXPECT_EQ(all().rank(), launch.rank);
  EXPECT_EQ(all().size(), launch.size);
  all().barrier();
}

TEST(Comm, BroadcastGivesTheRootsBytesToAll) {
  for (int root = 0; root < all().size(); ++root) {
    int64_t value = 100 + all().rank();
    all().broadcast(std::as_writable_bytes(std::span(&value, 1)), root);
    EXPECT_EQ(value, 100 + root);
  }
  EXPECT_EQ(broadcast_text(all(), all().rank() == 0 ? "from the first" : "mine"), "from the first");
  EXPECT_EQ(broadcast_text(all(), all().rank() == 0 ? "" : "mine"), "");
}

TEST(Comm, ListsOfAnyLengthComeByRank) {
  // Rank r gives r values.
  const std::vector<double> own(static_cast<size_t>(all().rank()), 0.5 + all().rank());
  const auto lists = all_gather_lists(all(), own);
  ASSERT_EQ(lists.size(), static_cast<size_t>(all().size()));
  for (size_t r = 0; r < lists.size(); ++r)
    EXPECT_EQ(lists[r], std::vector<double>(r, 0.5 + static_cast<double>(r)));
}

TEST(Comm, AllToAllSendsEachPartToItsRank) {
  const auto ranks = static_cast<size_t>(all().size());
  const auto rank = static_cast<size_t>(all().rank());
  // From rank r to rank q go r + q numbers 10 r + q.
  std::vector<int64_t> send, expected;
  std::vector<size_t> send_bytes, receive_bytes;
  for (size_t q = 0; q < ranks; ++q) {
    send.insert(send.end(), rank + q, static_cast<int64_t>(10 * rank + q));
    expected.insert(expected.end(), rank + q, static_cast<int64_t>(10 * q + rank));
    send_bytes.push_back((rank + q) * sizeof(int64_t));
    receive_bytes.push_back((rank + q) * sizeof(int64_t));
  }
  std::vector<int64_t> received(expected.size());
  all().all_to_all(std::as_bytes(std::span(send)), send_bytes, std::as_writable_bytes(std::span(received)),
                   receive_bytes);
  EXPECT_EQ(received, expected);
}

// The sum over ranks has the bits of the sum in one process.
TEST(Comm, ReductionsAddInOneOrderWhereverThePartsAre) {
  const auto ranks = static_cast<size_t>(all().size());
  for (const size_t count : {1u, 5u, 1000u, 100003u}) {
    std::vector<std::vector<float>> given;
    for (size_t r = 0; r < ranks; ++r) given.push_back(random_floats(count, r));
    const std::vector<float> mine = given[static_cast<size_t>(all().rank())];
    std::vector<std::span<float>> parts(given.begin(), given.end());
    sum_in_tree(parts);

    std::vector<float> sum = mine;
    all_reduce(all(), sum);
    EXPECT_EQ(sum, given[0]);

    std::vector<size_t> counts(ranks, 0);
    counts[ranks - 1] = count;  // all of it to the last
    std::vector<float> own(all().rank() + 1 == all().size() ? count : 0);
    reduce_scatter(all(), mine, counts, own);
    EXPECT_TRUE(own.empty() || own == given[0]);
  }
}

TEST(SumInTree, IsAddedUpByPairs) {
  // 1 + 1e8 - 1e8 in float32: 0 from the left, 1 when the pair comes first.
  std::vector<float> a = {1e8f}, b = {1}, c = {-1e8f}, d = {0};
  const std::vector<std::span<float>> parts = {a, c, b, d};
  sum_in_tree(parts);
  EXPECT_EQ(a[0], 1);
  std::vector<float> e = {1e8f}, f = {1}, g = {-1e8f};
  const std::vector<std::span<float>> three = {e, f, g};
  sum_in_tree(three);
  EXPECT_EQ(e[0], 0);
}

TEST(Comm, GroupsTalkAmongThemselves) {
  const auto group = all().split(all().rank() % 2);
  EXPECT_EQ(group->size(), (all().size() + 1 - all().rank() % 2) / 2);
  EXPECT_EQ(group->rank(), all().rank() / 2);
  std::vector<float> value = {1.0f + static_cast<float>(all().rank())};
  all_reduce(*group, value);
  float expected = 0;
  for (int r = all().rank() % 2; r < all().size(); r += 2) expected += 1.0f + static_cast<float>(r);
  EXPECT_EQ(value[0], expected);
}

// Two threads, each with a communicator, in no agreed order.
TEST(Comm, TwoThreadsDoNotDisturbEachOther) {
  const auto other = all().split(0);
  std::vector<float> there = {0}, here = {0};
  std::thread thread([&] {
    for (int i = 0; i < 50; ++i) {
      there = {static_cast<float>(i)};
      all_reduce(*other, there);
    }
  });
  for (int i = 0; i < 50; ++i) {
    here = {static_cast<float>(2 * i)};
    all_reduce(all(), here);
  }
  thread.join();
  EXPECT_EQ(there[0], 49.0f * static_cast<float>(all().size()));
  EXPECT_EQ(here[0], 98.0f * static_cast<float>(all().size()));
}

}  // namespace
}  // namespace moellava
