#include "eval/result_file.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"
#include "eval/report_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

class ResultFile : public ::testing::Test {
 protected:
  const testing::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "result.json";
};

TEST_F(ResultFile, ReadsBackWhatWasWritten) {
  EvalResult result = testing::moe_result();
  result.blank_images = true;
  const Json written = result_json(result);
  EXPECT_EQ(written["overall"]["accuracy"], 0.7);
  EXPECT_NEAR(written["overall"]["confidence_95"][0].get<double>(), 0.6332, 1e-4);
  EXPECT_EQ(written["speed"]["images_per_second"], 2.0);
  write_file_atomic(path_, written.dump());
  EXPECT_EQ(result_json(read_results(path_)[0]), written);

  result.scores.yes_ratio.reset();
  result.scores.overall.majority_correct.reset();
  result.scores.published =
      Published{.name = "mean F1", .value = 85.7, .low = 85, .high = 86.5, .method = "bootstrap"};
  write_file_atomic(path_, result_json(result).dump());
  const Scores read = read_results(path_)[0].scores;
  EXPECT_FALSE(read.yes_ratio.has_value());
  EXPECT_FALSE(read.overall.majority_correct.has_value());
  EXPECT_EQ(read.published.value().name, "mean F1");
  EXPECT_EQ(read.published.value().value, 85.7);
  EXPECT_EQ(read.published.value().high, 86.5);
}

TEST_F(ResultFile, NamesTheFieldThatIsWrong) {
  const auto refusal = [&](const char* pointer, const Json& value) -> std::string {
    Json json = result_json(testing::moe_result());
    json[Json::json_pointer(pointer)] = value;
    write_file_atomic(path_, json.dump());
    try {
      read_results(path_);
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

TEST_F(ResultFile, HasTheScoreOfEachQuestion) {
  EvalResult result = testing::moe_result();
  result.scores.graded = {{.category = "a", .truth = "", .score = 1, .id = "7"},
                          {.category = "b", .truth = "", .score = 0.5, .id = "x"},
                          {.category = "a", .truth = "", .score = 0, .id = "7"}};
  const Json written = result_json(result);
  EXPECT_EQ(written["graded"], (Json{{"7", 1.0}, {"x", 0.5}, {"7#2", 0.0}}));
  write_file_atomic(path_, written.dump());
  EXPECT_EQ(scores_by_id(read_results(path_)[0].scores.graded), scores_by_id(result.scores.graded));
}

TEST_F(ResultFile, HoldsSeveralBenchmarks) {
  EvalResult elsewhere = testing::moe_result();
  elsewhere.task = "vqav2";
  elsewhere.scores = {};
  elsewhere.scored_elsewhere = 12;
  const std::vector<EvalResult> results = {testing::moe_result(), elsewhere};
  folder_.write("report.json", report_json(results).dump());
  const std::vector<EvalResult> read = read_results(folder_ / "");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(report_json(read), report_json(results));
  EXPECT_EQ(read[1].scored_elsewhere, 12);
  folder_.write("report.json", R"({"results": []})");
  EXPECT_THAT(testing::refusal_of([&] { read_results(folder_ / ""); }),
              HasSubstr("report.json: results: wrong type"));
  Json broken = report_json(results);
  broken["results"][1].erase("task");
  folder_.write("report.json", broken.dump());
  EXPECT_THAT(testing::refusal_of([&] { read_results(folder_ / ""); }),
              HasSubstr("report.json: results[1]: task: missing"));
}

}  // namespace
}  // namespace moellava
