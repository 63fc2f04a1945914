#include "eval/tasks/llava_bench.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

TEST(LlavaBench, ReadsTwoScoresFromTheFirstLine) {
  EXPECT_EQ(llava_bench_scores("8 6\nBecause."), std::pair(8.0, 6.0));
  EXPECT_EQ(llava_bench_scores("8.5, 6"), std::pair(8.5, 6.0));
  EXPECT_EQ(llava_bench_scores(" 10 1 "), std::pair(10.0, 1.0));
  for (const char* verdict : {"", "8", "8 6 7", "Assistant 1: 8\n8 6", "8 11", "0 5", "-1 -1", "\n8 6"})
    EXPECT_FALSE(llava_bench_scores(verdict)) << verdict;
}

class LlavaBenchJudged : public ::testing::Test {
 protected:
  void SetUp() override {
    input_.questions = folder_.write(
        "questions.jsonl",
        "{\"question_id\": 0, \"image\": \"001.jpg\", \"category\": \"conv\", \"text\": \"What is it?\"}\n"
        "{\"question_id\": 1, \"image\": \"001.jpg\", \"category\": \"detail\", \"text\": \"Describe it.\"}\n"
        "{\"question_id\": 2, \"image\": \"002.jpg\", \"category\": \"conv\", \"text\": \"Why?\"}\n");
    folder_.write("context.jsonl",
                  "{\"id\": \"001\", \"image\": \"001.jpg\", \"caption\": \"A cat.\"}\n"
                  "{\"id\": \"002\", \"image\": \"002.jpg\", \"caption\": [\"A dog.\", \"It runs.\"]}\n");
    folder_.write(
        "answers_gpt4.jsonl",
        "{\"question_id\": 0, \"text\": \"It is a cat.\"}\n{\"question_id\": 1, \"text\": \"A cat.\"}\n"
        "{\"question_id\": 2, \"text\": \"For fun.\"}\n");
    input_.annotations = folder_ / "";
  }
  std::vector<JudgeRequest> requests(const std::string& instruction = "") const {
    return llava_bench_task().judge_requests(input_, answers_, instruction);
  }

  const testing::TemporaryFolder folder_;
  TaskInput input_;
  const std::vector<Answer> answers_ = {{.question_id = 0, .text = "a cat"},
                                        {.question_id = 1, .text = "nothing"},
                                        {.question_id = 2, .text = "no idea"}};
};

TEST_F(LlavaBenchJudged, ShowsTheJudgeContextQuestionAndBothAnswers) {
  const std::vector<JudgeRequest> asked = requests("Judge.");
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(
      asked[2].prompt.user,
      "[Context]\nA dog.\nIt runs.\n\n[Question]\nWhy?\n\n[Assistant 1]\nFor fun.\n\n[End of Assistant 1]\n\n"
      "[Assistant 2]\nno idea\n\n[End of Assistant 2]\n\n[System]\nJudge.\n\n");
  EXPECT_EQ(asked[2].prompt.temperature, 0.2);
  EXPECT_THAT(requests()[0].prompt.user, HasSubstr("[System]\nTwo assistants answered"));
}

// Relative to the reference: means of both, then their ratio, as the original's summary.
TEST_F(LlavaBenchJudged, ScoresAgainstTheReference) {
  const std::vector<std::string> verdicts = {"10 5\nwhy", "8 4", "9 9"};
  const Scores scores = llava_bench_task().score_judged(input_, answers_, verdicts);
  EXPECT_DOUBLE_EQ(scores.published.value().value, 100 * (5.0 + 4 + 9) / (10 + 8 + 9));
  EXPECT_DOUBLE_EQ(testing::figure(scores, "conv", "relative"), 100 * 14.0 / 19);
  EXPECT_DOUBLE_EQ(testing::figure(scores, "detail", "relative"), 50);
  EXPECT_DOUBLE_EQ(testing::figure(scores, "all", "reference"), 90);
  EXPECT_EQ(testing::figure(scores, "judge", "unjudged"), 0);
  EXPECT_EQ(scores.overall.questions, 3);
}

TEST_F(LlavaBenchJudged, LeavesOutWhatWasNotJudged) {
  const std::vector<std::string> verdicts = {"10 5", "I cannot.", "9 9"};
  const Scores scores = llava_bench_task().score_judged(input_, answers_, verdicts);
  EXPECT_DOUBLE_EQ(scores.published.value().value, 100 * 14.0 / 19);
  EXPECT_EQ(testing::figure(scores, "judge", "unjudged"), 1);
}

TEST_F(LlavaBenchJudged, NamesWhatIsMissing) {
  folder_.write("context.jsonl", "{\"id\": \"001\", \"image\": \"001.jpg\", \"caption\": \"A cat.\"}\n");
  EXPECT_THAT(testing::refusal_of([&] { requests(); }),
              HasSubstr("questions.jsonl:3: image: not in " + (folder_ / "context.jsonl").string()));
  SetUp();
  folder_.write("answers_gpt4.jsonl", "{\"question_id\": 0, \"text\": \"It is a cat.\"}\n");
  EXPECT_THAT(testing::refusal_of([&] { requests(); }), HasSubstr("questions.jsonl:2: question_id: not in"));
  folder_.write("context.jsonl", "{\"image\": \"001.jpg\", \"caption\": [1]}\n");
  EXPECT_THAT(testing::refusal_of([&] { requests(); }), HasSubstr("context.jsonl:1: caption: wrong type"));
}

}  // namespace
}  // namespace moellava
