#include "eval/report.hpp"

#include <gmock/gmock.h>

#include "eval/report_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

TEST(Report, TerminalTable) {
  EXPECT_EQ(result_table(testing::moe_result()),
            "category  questions  accuracy  95 % interval  majority  most frequent\n"
            "--------  ---------  --------  -------------  --------  -------------\n"
            "count            50    40.0 %   27.6 to 53.8    30.0 %            two\n"
            "presence        150    80.0 %   72.9 to 85.6    50.0 %             no\n"
            "overall         200    70.0 %   63.3 to 75.9    45.0 %               \n"
            "\nyes ratio 48.0 % of 150 yes/no questions, 3 answered with neither\n"
            "parameters 213.4 M total, 160.2 M active; pictures 224 px\n"
            "2.00 images/s over 200 questions\n");
}

TEST(Report, TerminalTableOfAnswersMadeElsewhere) {
  EvalResult result = testing::moe_result();
  result.parameters = {};
  result.scores.overall.majority_correct.reset();
  result.scores.figures = {{.name = "random", .figures = {{"samples", 3000}, {"f1", 0.87654321}}},
                           {.name = "popular", .figures = {{"samples", 2}, {"f1", 1}}},
                           {.name = "points", .figures = {{"OCR", 125}}}};
  result.scores.published =
      Published{.name = "mean F1", .value = 85.678, .low = 85, .high = 86.25, .method = "bootstrap"};
  const std::string table = result_table(result);
  EXPECT_THAT(table, HasSubstr("overall         200    70.0 %   63.3 to 75.9         -               \n"));
  EXPECT_THAT(table,
              HasSubstr("\n         random  popular\n-------  ------  -------\nsamples    3000        2\n"
                        "f1       0.8765        1\n\n     points\n---  ------\nOCR     125\n\nmean F1 85.68, "
                        "95 % interval 85.00 to 86.25 "
                        "(bootstrap)\n"));
  EXPECT_THAT(table, ::testing::Not(HasSubstr("parameters")));
}

TEST(Report, OverviewOfSeveralBenchmarks) {
  EvalResult pope = testing::moe_result(), elsewhere = testing::moe_result();
  pope.task = "pope";
  pope.scores.published =
      Published{.name = "mean F1", .value = 85.678, .low = 85, .high = 86.25, .method = "bootstrap"};
  elsewhere.task = "vqav2";
  elsewhere.scored_elsewhere = 30;
  elsewhere.cost.images = 0;
  const std::vector<EvalResult> results = {pope, testing::moe_result(), elsewhere};
  EXPECT_EQ(
      overview_table(results),
      "benchmark     score  95 % interval         by              what  questions  yes ratio  images/s\n"
      "------------  -----  -------------  ---------  ----------------  ---------  ---------  --------\n"
      "pope           85.7   85.0 to 86.2  bootstrap           mean F1        200     48.0 %      2.00\n"
      "short_answer   70.0   63.3 to 75.9     Wilson          accuracy        200     48.0 %      2.00\n"
      "vqav2             -              -          -  scored elsewhere         30          -         -\n"
      "\nparameters 213.4 M total, 160.2 M active; pictures 224 px\n");
  const std::string page = markdown_report(results);
  EXPECT_THAT(page, ::testing::StartsWith("# Evaluation of runs/moe\n\n| benchmark"));
  EXPECT_THAT(page, HasSubstr("\n## pope\n\n| category"));
  EXPECT_THAT(page, ::testing::Not(HasSubstr("## vqav2")));
}

}  // namespace
}  // namespace moellava
