#include "eval/comparison.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.hpp"
#include "eval/report_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

TEST(Comparison, ComparesSideBySide) {
  EvalResult dense = testing::moe_result();
  dense.parameters = {.total = 135'000'000, .active = 135'000'000, .decoder_total = 0, .decoder_active = 0};
  dense.scores.categories.erase(dense.scores.categories.begin());
  dense.scores.yes_ratio.reset();
  dense.scores.published =
      Published{.name = "accuracy", .value = 61.44, .low = 60, .high = 62, .method = "Wilson"};
  const std::vector<EvalResult> results = {testing::moe_result(), dense};
  EXPECT_EQ(comparison_table(results, std::vector<std::string>{"MoE", "dense"}),
            "|                    |        MoE |      dense |\n"
            "|--------------------|-----------:|-----------:|\n"
            "| **overall**        | **70.0 %** | **70.0 %** |\n"
            "| count              |     40.0 % |          - |\n"
            "| presence           |     80.0 % |     80.0 % |\n"
            "| majority answer    |     45.0 % |     45.0 % |\n"
            "| yes ratio          |     48.0 % |          - |\n"
            "| published score    |          - |       61.4 |\n"
            "| questions          |        200 |        200 |\n"
            "| parameters, total  |    213.4 M |    135.0 M |\n"
            "| parameters, active |    160.2 M |    135.0 M |\n");
}

TEST(Comparison, LabelsCannotBreakTheTable) {
  const std::vector<EvalResult> results = {testing::moe_result()};
  const std::string table = comparison_table(results, std::vector<std::string>{"a|b\nc"});
  EXPECT_THAT(table, HasSubstr("a\\|b"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 10);
  const std::vector<std::vector<EvalResult>> reports = {results};
  EXPECT_THROW(comparison(reports, std::vector<std::string>{}), Error);
}

TEST(Comparison, LinesUpWhateverTheScript) {
  const std::vector<EvalResult> results = {testing::moe_result()};
  const std::string table = comparison_table(results, std::vector<std::string>{"größer als zuvor"});
  EXPECT_THAT(table, HasSubstr("|--------------------|-----------------:|\n"));
}

// The model has `right` of ten questions right, the first of them.
EvalResult with_right(const std::string& task, int right) {
  EvalResult result = testing::moe_result();
  result.task = task;
  for (int i = 0; i < 10; ++i)
    result.scores.graded.push_back(
        {.category = "", .truth = "", .score = i < right ? 1.0 : 0.0, .id = std::to_string(i)});
  return result;
}

TEST(Comparison, SaysWhetherADifferenceIsChance) {
  const std::vector<std::vector<EvalResult>> reports = {{with_right("pope", 8), with_right("mme", 5)},
                                                        {with_right("pope", 2)}};
  const std::string text = comparison(reports, std::vector<std::string>{"one", "two"});
  EXPECT_THAT(text, ::testing::StartsWith("## pope\n\n|"));
  EXPECT_THAT(
      text, HasSubstr("\none against two: +60.00 points (95 % interval +30.00 to +90.00); better in 6, worse "
                      "in 0 of 10 questions, p = 0.031 (McNemar, exact)\n"));
  EXPECT_THAT(text, HasSubstr("\n## mme\n\n|"));
  EXPECT_EQ(text.find("against", text.find("## mme")), std::string::npos);

  std::vector<EvalResult> others = {with_right("pope", 8), with_right("pope", 8)};
  others[1].scores.graded.pop_back();
  EXPECT_EQ(paired_lines(others, std::vector<std::string>{"a", "b"}),
            "a against b: not the same questions\n");
}

}  // namespace
}  // namespace moellava
