#include "train/picture_loader.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>

namespace moellava {
namespace {

using Pixels = std::vector<float>;

TEST(PictureLoader, GivesWhatWasAskedForInAnyOrder) {
  PictureLoader loader([](size_t picture) { return Pixels{static_cast<float>(picture)}; }, 3);
  std::vector<size_t> pictures(100);
  for (size_t i = 0; i < pictures.size(); ++i) pictures[i] = i;
  loader.request(pictures);
  for (size_t i = pictures.size(); i-- > 0;) EXPECT_EQ(loader.take(i), Pixels{static_cast<float>(i)});
  EXPECT_EQ(loader.take(200), Pixels{200});  // not asked for
}

TEST(PictureLoader, WorksBeforeItIsAskedAndOnceForEach) {
  std::atomic<int> loaded = 0;
  PictureLoader loader([&](size_t) { return Pixels{static_cast<float>(++loaded)}; }, 2);
  loader.request({5, 6, 5});
  loader.request({6});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (loaded < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(loaded, 2);
  EXPECT_TRUE(loader.asked_for(5));
  loader.take(5);
  loader.take(6);
  EXPECT_FALSE(loader.asked_for(5));
  EXPECT_EQ(loaded, 2);
}

TEST(PictureLoader, AFailureComesWithItsPicture) {
  PictureLoader loader(
      [](size_t picture) {
        if (picture == 1) throw std::runtime_error("bad");
        return Pixels{};
      },
      1);
  loader.request({0, 1, 2});
  loader.take(0);
  EXPECT_THROW(loader.take(1), std::runtime_error);
  loader.take(2);
}

TEST(PictureLoader, EndsWithWorkLeft) {
  std::atomic<int> loaded = 0;
  {
    PictureLoader loader(
        [&](size_t) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          ++loaded;
          return Pixels{};
        },
        1);
    std::vector<size_t> many(1000);
    for (size_t i = 0; i < many.size(); ++i) many[i] = i;
    loader.request(many);
  }
  EXPECT_LT(loaded, 1000);
}

}  // namespace
}  // namespace moellava
