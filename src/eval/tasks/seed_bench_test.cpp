#include "eval/tasks/seed_bench.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

class SeedBench : public ::testing::Test {
 protected:
  std::string refusal(const std::string& from, const std::string& to) {
    std::string changed = truth_;
    changed.replace(changed.find(from), from.size(), to);
    input_.annotations = folder_.write("SEED-Bench.json", changed);
    return testing::refusal_of([&] { seed_bench_task().score(input_, answers_); });
  }

  const testing::TemporaryFolder folder_;
  const std::string truth_ = R"({"question_type": {"Scene": 1, "Action": 10}, "questions": [
      {"question_id": "101", "question_type_id": 1, "data_type": "image", "answer": "A"},
      {"question_id": "102", "question_type_id": 1, "data_type": "image", "answer": "B"},
      {"question_id": "v1", "question_type_id": 10, "data_type": "video", "answer": "C"}]})";
  TaskInput input_{.annotations = folder_.write("SEED-Bench.json", truth_)};
  const std::vector<Answer> answers_ = {{.question_id = 101, .text = "A"},
                                        {.question_id = "102", .text = "B."},
                                        {.question_id = "v1", .text = "C"}};
};

TEST_F(SeedBench, ScoresLettersByTypeAndKind) {
  const Scores scores = seed_bench_task().score(input_, answers_);
  EXPECT_EQ(scores.categories[0].category, "Action");
  EXPECT_EQ(scores.categories[1].correct, 1);  // "B." is not the letter alone
  EXPECT_EQ(testing::figure(scores, "kind of data", "image"), 50);
  EXPECT_EQ(testing::figure(scores, "kind of data", "video"), 100);
  EXPECT_DOUBLE_EQ(scores.published.value().value, 200.0 / 3);
  EXPECT_EQ(seed_bench_task().submission(input_, std::span(answers_).last(1)),
            "{\"prediction\":\"C\",\"question_id\":\"v1\"}\n");
}

TEST_F(SeedBench, NamesWhatIsWrong) {
  EXPECT_THAT(refusal("\"v1\"", "\"v2\""), HasSubstr("SEED-Bench.json: questions[2]: has no answer"));
  EXPECT_THAT(refusal("_id\": 10", "_id\": 11"), HasSubstr("questions[2]: question_type_id: not among"));
  EXPECT_THAT(refusal(", \"answer\": \"B\"", ""), HasSubstr("questions[1]: answer: missing field"));
  EXPECT_THAT(refusal("\"Scene\": 1,", "\"Scene\": \"x\","), HasSubstr("question_type: Scene: wrong"));
}

}  // namespace
}  // namespace moellava
