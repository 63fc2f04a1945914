#include "eval/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

EvalResult moe_result() {
  EvalResult result{.model = "runs/moe",
                    .task = "short_answer",
                    .questions = "test.jsonl",
                    .image_size = 224,
                    .parameters = {.total = 213'400'000,
                                   .active = 160'200'000,
                                   .decoder_total = 200'000'000,
                                   .decoder_active = 150'000'000},
                    .cost = {.questions = 200, .images = 123, .seconds = 61.5},
                    .scores = {}};
  result.scores.categories = {
      {.category = "count", .questions = 50, .correct = 20, .majority_correct = 15, .majority_answer = "two"},
      {.category = "presence",
       .questions = 150,
       .correct = 120,
       .majority_correct = 75,
       .majority_answer = "no"}};
  result.scores.overall = {
      .category = "overall", .questions = 200, .correct = 140, .majority_correct = 90, .majority_answer = ""};
  result.scores.yes_no_questions = 150;
  result.scores.yes_no_unclear = 3;
  result.scores.yes_ratio = 0.48;
  return result;
}

class ReportFile : public testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }
  const fs::path path_ =
      fs::temp_directory_path() / ("moellava_result_" + std::to_string(::getpid()) + ".json");
};

TEST_F(ReportFile, ReadsBackWhatWasWritten) {
  EvalResult result = moe_result();
  result.blank_images = true;
  const Json written = result_json(result);
  EXPECT_EQ(written["overall"]["accuracy"], 0.7);
  EXPECT_NEAR(written["overall"]["confidence_95"][0].get<double>(), 0.6332, 1e-4);
  EXPECT_EQ(written["images_per_second"], 2.0);
  write_file_atomic(path_, written.dump());
  EXPECT_EQ(result_json(read_result(path_)), written);

  result.scores.yes_ratio.reset();
  result.scores.overall.majority_correct.reset();
  result.scores.published = Figure{"mean F1", 85.7};
  write_file_atomic(path_, result_json(result).dump());
  const Scores read = read_result(path_).scores;
  EXPECT_FALSE(read.yes_ratio.has_value());
  EXPECT_FALSE(read.overall.majority_correct.has_value());
  EXPECT_EQ(read.published.value().name, "mean F1");
  EXPECT_EQ(read.published.value().value, 85.7);
}

TEST_F(ReportFile, NamesTheFieldThatIsWrong) {
  const auto refusal = [&](const char* pointer, const Json& value) -> std::string {
    Json json = result_json(moe_result());
    json[Json::json_pointer(pointer)] = value;
    write_file_atomic(path_, json.dump());
    try {
      read_result(path_);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal("/overall", 3), HasSubstr("overall"));
  EXPECT_THAT(refusal("/overall/correct", 201), HasSubstr("overall: correct: wrong type or range"));
  EXPECT_THAT(refusal("/categories/count/questions", -1), HasSubstr("categories: count: questions: wrong"));
  EXPECT_THAT(refusal("/parameters/total", "many"), HasSubstr("parameters: total: wrong"));
  EXPECT_THAT(refusal("/model", nullptr), HasSubstr("model: missing field"));
  EXPECT_THAT(refusal("/yes_ratio", "half"), HasSubstr("yes_ratio: wrong"));
}

TEST(Report, TerminalTable) {
  EXPECT_EQ(result_table(moe_result()),
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
  EvalResult result = moe_result();
  result.parameters = {};
  result.scores.overall.majority_correct.reset();
  result.scores.figures = {{.name = "random", .figures = {{"samples", 3000}, {"f1", 0.87654321}}},
                           {.name = "popular", .figures = {{"samples", 2}, {"f1", 1}}},
                           {.name = "points", .figures = {{"OCR", 125}}}};
  result.scores.published = Figure{"mean F1", 85.678};
  const std::string table = result_table(result);
  EXPECT_THAT(table, HasSubstr("overall         200    70.0 %   63.3 to 75.9         -               \n"));
  EXPECT_THAT(
      table,
      HasSubstr("\n         random  popular\n-------  ------  -------\nsamples    3000        2\n"
                "f1       0.8765        1\n\n     points\n---  ------\nOCR     125\n\nmean F1 85.68\n"));
  EXPECT_THAT(table, testing::Not(HasSubstr("parameters")));
}

TEST(Report, ComparesSideBySide) {
  EvalResult dense = moe_result();
  dense.parameters = {.total = 135'000'000, .active = 135'000'000, .decoder_total = 0, .decoder_active = 0};
  dense.scores.categories.erase(dense.scores.categories.begin());
  dense.scores.yes_ratio.reset();
  dense.scores.published = Figure{"accuracy", 61.44};
  const std::vector<EvalResult> results = {moe_result(), dense};
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

TEST(Report, LabelsCannotBreakTheTable) {
  const std::vector<EvalResult> results = {moe_result()};
  const std::string table = comparison_table(results, std::vector<std::string>{"a|b\nc"});
  EXPECT_THAT(table, HasSubstr("a\\|b"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 10);
  EXPECT_THROW(comparison_table(results, std::vector<std::string>{}), Error);
}

TEST(Report, LinesUpWhateverTheScript) {
  const std::vector<EvalResult> results = {moe_result()};
  const std::string table = comparison_table(results, std::vector<std::string>{"größer als zuvor"});
  EXPECT_THAT(table, HasSubstr("|--------------------|-----------------:|\n"));
}

}  // namespace
}  // namespace moellava
