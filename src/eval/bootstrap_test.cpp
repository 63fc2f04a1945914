#include "eval/bootstrap.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "eval/tally.hpp"

namespace moellava {
namespace {

std::vector<Graded> answers(size_t right, size_t wrong, size_t per_picture = 0) {
  std::vector<Graded> graded;
  for (size_t i = 0; i < right + wrong; ++i) {
    Graded answer{.category = "all", .truth = "x", .score = i < right ? 1.0 : 0.0};
    if (per_picture > 0) answer.picture = std::to_string(i / per_picture) + ".png";
    graded.push_back(answer);
  }
  return graded;
}

// For a share of many answers both methods must agree.
TEST(Bootstrap, OfAShareIsNearWilsons) {
  const auto [low, high] = bootstrap_interval(answers(700, 300), mean_percent);
  const auto [wilson_low, wilson_high] = confidence_interval(700, 1000);
  EXPECT_NEAR(low, 100 * wilson_low, 0.4);
  EXPECT_NEAR(high, 100 * wilson_high, 0.4);
}

// Ten answers about each picture, all right or all wrong, say no more than one: the interval of a tenth of
// them.
TEST(Bootstrap, PicturesAreDrawnWhole) {
  const auto [low, high] = bootstrap_interval(answers(700, 300, 10), mean_percent);
  const auto [wilson_low, wilson_high] = confidence_interval(70, 100);
  EXPECT_NEAR(low, 100 * wilson_low, 1.5);
  EXPECT_NEAR(high, 100 * wilson_high, 1.5);
}

TEST(Bootstrap, IsTheSameEveryTimeAndCertainWhenAllAreAlike) {
  const std::vector<Graded> some = answers(3, 4);
  EXPECT_EQ(bootstrap_interval(some, mean_percent), bootstrap_interval(some, mean_percent));
  EXPECT_EQ(bootstrap_interval(answers(5, 0), mean_percent), std::pair(100.0, 100.0));
  EXPECT_EQ(bootstrap_interval({}, mean_percent), std::pair(0.0, 0.0));
}

TEST(Bootstrap, IsUsedForMeansOfShares) {
  std::vector<Graded> graded = answers(60, 40);
  EXPECT_EQ(published_mean("accuracy", 60, graded).method, "Wilson");
  graded[0].score = 0.3;
  const Published published = published_mean("accuracy", 59.3, graded);
  EXPECT_EQ(published.method, "bootstrap");
  EXPECT_EQ(published.value, 59.3);
  EXPECT_EQ(std::pair(published.low, published.high), bootstrap_interval(graded, mean_percent));
}

}  // namespace
}  // namespace moellava
