#include "base/background_queue.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace moellava {
namespace {

TEST(BackgroundQueue, DoesAllInOrder) {
  BackgroundQueue queue;
  std::vector<int> done;
  for (int i = 0; i < 100; ++i) queue.add([&done, i] { done.push_back(i); });
  queue.wait();
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(BackgroundQueue, ThrowsWhatWasThrownOnceAndGoesOn) {
  BackgroundQueue queue;
  queue.add([] { throw std::runtime_error("bad"); });
  EXPECT_THROW(queue.wait(), std::runtime_error);
  bool done = false;
  queue.add([&] { done = true; });
  queue.wait();
  EXPECT_TRUE(done);
}

TEST(BackgroundQueue, MayEndWithWorkLeft) {
  BackgroundQueue queue;
  for (int i = 0; i < 100; ++i) queue.add([] {});
}

}  // namespace
}  // namespace moellava
