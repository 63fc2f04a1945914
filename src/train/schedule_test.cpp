#include "train/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.hpp"

namespace moellava {
namespace {

TEST(Schedule, WarmsUpLinearlyFromZeroThenFollowsHalfACosine) {
  const Schedule schedule{.kind = ScheduleKind::Cosine, .peak = 2e-3, .warmup_steps = 4, .total_steps = 14};
  const double expected[] = {0, 0.25, 0.5, 0.75};
  for (int64_t step = 0; step < 4; ++step)
    EXPECT_DOUBLE_EQ(schedule.learning_rate(step), 2e-3 * expected[step]);
  for (int64_t step = 4; step <= 14; ++step) {
    const double progress = static_cast<double>(step - 4) / 10;
    EXPECT_NEAR(schedule.learning_rate(step), 2e-3 * std::pow(std::cos(std::numbers::pi * progress / 2), 2),
                1e-15)
        << step;
  }
  EXPECT_EQ(schedule.learning_rate(4), 2e-3);
  EXPECT_NEAR(schedule.learning_rate(14), 0, 1e-15);
}

TEST(Schedule, WithoutWarmUpTheFirstStepHasThePeakRate) {
  const Schedule schedule{.kind = ScheduleKind::Cosine, .peak = 1, .warmup_steps = 0, .total_steps = 8};
  EXPECT_EQ(schedule.learning_rate(0), 1);
  EXPECT_NEAR(schedule.learning_rate(4), 0.5, 1e-15);
}

TEST(Schedule, ConstantStaysAtThePeakAfterWarmUp) {
  const Schedule schedule{.kind = ScheduleKind::Constant, .peak = 3, .warmup_steps = 2, .total_steps = 10};
  EXPECT_EQ(schedule.learning_rate(1), 1.5);
  for (int64_t step = 2; step < 10; ++step) EXPECT_EQ(schedule.learning_rate(step), 3);
}

TEST(Schedule, WarmUpStepsAreRoundedUp) {
  EXPECT_EQ(warmup_steps(0.03, 100), 3);
  EXPECT_EQ(warmup_steps(0.03, 101), 4);
  EXPECT_EQ(warmup_steps(0, 100), 0);
}

TEST(Schedule, UnknownNamesAreUsageErrors) {
  EXPECT_EQ(schedule_by_name("constant", "flag"), ScheduleKind::Constant);
  EXPECT_THROW(schedule_by_name("linear", "flag"), Error);
}

}  // namespace
}  // namespace moellava
