// The first test also runs under mpirun, as 2 and 3 processes.
#include "train/step_report.hpp"

#include <gtest/gtest.h>

#include "tests/mpi_processes.hpp"

namespace moellava {
namespace {

using testing::all_processes;

StepReport report_number(int number) {
  StepReport report;
  report.loss = 0.1 * number;
  report.aux_loss = 1 + number;
  report.tokens = 10 * number;
  report.expert_choices = {{number, 1}, {2, number, 4}};
  report.dropped = {number, 0};
  if (number == 2) report.bad = {.what = "bad", .tensor = "t", .samples = {"a\nb", ""}};
  return report;
}

// Rank r computed r + 1 micro-batches.
TEST(DataParallelReports, EverybodyGetsAllInOrder) {
  std::vector<StepReport> own;
  int number = 0, all = 0;
  for (int r = 0; r < all_processes().size(); ++r) {
    for (int i = 0; i <= r; ++i, ++number, ++all) {
      if (r == all_processes().rank()) own.push_back(report_number(number));
    }
  }
  const std::vector<StepReport> gathered = gather_reports(all_processes(), own);
  ASSERT_EQ(gathered.size(), static_cast<size_t>(all));
  for (int i = 0; i < all; ++i) {
    const StepReport expected = report_number(i);
    const StepReport& found = gathered[static_cast<size_t>(i)];
    EXPECT_EQ(found.loss, expected.loss);
    EXPECT_EQ(found.aux_loss, expected.aux_loss);
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.expert_choices, expected.expert_choices);
    EXPECT_EQ(found.dropped, expected.dropped);
    ASSERT_EQ(found.bad.has_value(), expected.bad.has_value());
    if (found.bad) {
      EXPECT_EQ(found.bad->what, "bad");
      EXPECT_EQ(found.bad->samples, expected.bad->samples);
    }
  }
}

TEST(StepReport, LossesAreAveragedAndCountsAdded) {
  const StepReport sum = join_reports({report_number(1), report_number(3)});
  EXPECT_DOUBLE_EQ(sum.loss, 0.2);
  EXPECT_DOUBLE_EQ(sum.aux_loss, 3);
  EXPECT_EQ(sum.tokens, 40);
  EXPECT_EQ(sum.expert_choices, (std::vector<std::vector<int64_t>>{{4, 2}, {4, 4, 8}}));
  EXPECT_EQ(sum.dropped, (std::vector<int64_t>{4, 0}));
  EXPECT_FALSE(sum.bad);
  EXPECT_TRUE(join_reports({report_number(1), report_number(2)}).bad);
}

}  // namespace
}  // namespace moellava
