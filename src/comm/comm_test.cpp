// Runs as one process, and under mpirun as 2, 3 and 4 (cmake/Mpi.cmake): every test runs in every process.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <thread>

#include "comm/collectives.hpp"
#include "tests/mpi_processes.hpp"

namespace moellava {
namespace {

Communicator& all() {
  return testing::all_processes();
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

TEST(Comm, GroupsTalkAmongThemselves) {
  const auto group = all().split(all().rank() % 2);
  EXPECT_EQ(group->size(), (all().size() + 1 - all().rank() % 2) / 2);
  EXPECT_EQ(group->rank(), all().rank() / 2);
  std::vector<std::vector<int>> expected;
  for (int r = all().rank() % 2; r < all().size(); r += 2) expected.push_back({r});
  EXPECT_EQ(all_gather_lists(*group, std::vector<int>{all().rank()}), expected);
}

// Two threads, each with a communicator, in no agreed order.
TEST(Comm, TwoThreadsDoNotDisturbEachOther) {
  const auto other = all().split(0);
  const auto ranks = static_cast<size_t>(all().size());
  using Lists = std::vector<std::vector<int>>;
  Lists there, here;
  std::thread thread([&] {
    for (int i = 0; i < 50; ++i) there = all_gather_lists(*other, std::vector<int>{i, i});
  });
  for (int i = 0; i < 50; ++i) here = all_gather_lists(all(), std::vector<int>{2 * i});
  thread.join();
  EXPECT_EQ(there, Lists(ranks, {49, 49}));
  EXPECT_EQ(here, Lists(ranks, {98}));
}

}  // namespace
}  // namespace moellava
