#include "eval/tasks/mm_vet.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

TEST(MmVet, WritesWhatItsJudgeReads) {
  const std::vector<Answer> answers = {{.question_id = 10, .text = "x"}, {.question_id = 2, .text = "\"é\""}};
  EXPECT_EQ(mm_vet_task().submission({}, answers),
            "{\n  \"v1_10\": \"x\",\n  \"v1_2\": \"\\\"\\u00e9\\\"\"\n}");
}

TEST(MmVet, ReadsTheScoreAVerdictBeginsWith) {
  EXPECT_EQ(mm_vet_score("0.5"), 0.5);
  EXPECT_EQ(mm_vet_score(" 1.0 |"), 1.0);
  EXPECT_EQ(mm_vet_score("0\nwrong"), 0.0);
  for (const char* verdict : {"", "1.5", "-0.1", "Score: 0.5", "0.5/1", "nan"})
    EXPECT_FALSE(mm_vet_score(verdict)) << verdict;
}

class MmVetJudged : public ::testing::Test {
 protected:
  void SetUp() override {
    input_.annotations = folder_.write(
        "mm-vet.json",
        R"({"v1_0": {"question": "What?", "answer": "a<AND>b<OR>c", "capability": ["ocr", "math"]},
                           "v1_1": {"question": "Why?", "answer": "x", "capability": ["ocr"]}})");
  }
  Scores score(const std::vector<std::string>& verdicts) const {
    return mm_vet_task().score_judged(input_, answers_, verdicts);
  }

  const testing::TemporaryFolder folder_;
  TaskInput input_;
  std::vector<Answer> answers_ = {{.question_id = 0, .text = "b and a"},
                                  {.question_id = "v1_1", .text = "y"}};
};

TEST_F(MmVetJudged, TheJudgeCompletesTheTable) {
  const std::vector<JudgeRequest> requests = mm_vet_task().judge_requests(input_, answers_, "Table:");
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].prompt.user, "Table:\nWhat? | a <AND> b <OR> c | b and a | ");
  EXPECT_EQ(requests[1].prompt.user, "Table:\nWhy? | x | y | ");
  EXPECT_EQ(requests[0].prompt.max_tokens, 3);
}

TEST_F(MmVetJudged, ScoresByAbility) {
  const Scores scores = score({"0.8", "0.1"});
  EXPECT_DOUBLE_EQ(scores.published.value().value, 45);
  EXPECT_DOUBLE_EQ(testing::figure(scores, "ability", "ocr"), 45);
  EXPECT_DOUBLE_EQ(testing::figure(scores, "ability", "math"), 80);
  EXPECT_EQ(scores.categories[1].category, "ocr, math");
  const Scores partly = score({"0.8", "what?"});
  EXPECT_DOUBLE_EQ(partly.published.value().value, 40);
  EXPECT_EQ(testing::figure(partly, "judge", "unjudged"), 1);
}

TEST_F(MmVetJudged, NamesWhatIsWrong) {
  answers_.pop_back();
  EXPECT_THAT(testing::refusal_of([&] { score({"1"}); }),
              HasSubstr("mm-vet.json: not every question is answered: found 1 answers, expected 2"));
  answers_[0].question_id = 7;
  EXPECT_THAT(testing::refusal_of([&] { mm_vet_task().judge_requests(input_, answers_, ""); }),
              HasSubstr("mm-vet.json: v1_7: missing"));
  folder_.write("mm-vet.json", R"({"v1_7": {"question": "?", "answer": "x", "capability": "ocr"}})");
  EXPECT_THAT(testing::refusal_of([&] { score({"1"}); }),
              HasSubstr("mm-vet.json: v1_7: capability: wrong type"));
}

}  // namespace
}  // namespace moellava
