#include "eval/tasks/vqa_validation.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

Json annotation(int64_t id, const std::vector<std::string>& people, const std::string& type) {
  Json answers = Json::array();
  for (const std::string& answer : people) answers.push_back({{"answer", answer}, {"answer_id", 1}});
  return {{"question_id", id}, {"image_id", id / 1000}, {"answer_type", type}, {"answers", answers}};
}

class VqaValidation : public ::testing::Test {
 protected:
  void SetUp() override {
    input_.annotations = folder_.write("a.json", Json{{"annotations", annotations_}}.dump());
    input_.questions = folder_.write(
        "q.json", R"({"questions": [{"image_id": 42, "question": "What?", "question_id": 42001}]})");
  }
  Scores score(const std::vector<Answer>& answers) const { return vqav2_val_task().score(input_, answers); }

  const testing::TemporaryFolder folder_;
  Json annotations_ = {
      annotation(1, {"Net", "net", "net", "nets", "nets", "bag", "x", "x", "x", "x"}, "other"),
      annotation(2, std::vector<std::string>(10, "two"), "number")};
  TaskInput input_;
};

// Three of ten say net: left out in turn, three times two and seven times three others do. One alone: nine
// times a third.
TEST_F(VqaValidation, TakesTheAgreementWithTheOthers) {
  const Scores scores = score({{.question_id = 1, .text = "The net."}, {.question_id = 2, .text = "2"}});
  EXPECT_DOUBLE_EQ(scores.graded[0].score, (3 * 2 / 3.0 + 7) / 10);
  EXPECT_EQ(scores.graded[1].score, 1);
  EXPECT_EQ(scores.categories[0].category, "number");
  EXPECT_DOUBLE_EQ(scores.published.value().value, 100 * (0.9 + 1) / 2);
  EXPECT_EQ(scores.published->method, "bootstrap");
  EXPECT_DOUBLE_EQ(score({{.question_id = 1, .text = "bag"}, {.question_id = 2, .text = ""}}).graded[0].score,
                   0.3);
}

TEST_F(VqaValidation, AsksTheOfficialQuestions) {
  const std::vector<Question> questions = vqav2_val_task().load(input_);
  ASSERT_EQ(questions.size(), 1U);
  EXPECT_EQ(questions[0].image, "COCO_val2014_000000000042.jpg");
  EXPECT_EQ(questions[0].id, 42001);
  EXPECT_EQ(questions[0].text, "What?\nAnswer the question using a single word or phrase.");
}

TEST_F(VqaValidation, NamesWhatIsWrong) {
  EXPECT_THAT(testing::refusal_of([&] { score({{.question_id = 1, .text = "net"}}); }),
              HasSubstr("a.json: annotations[1]: question_id: has no answer: found 2"));
  annotations_[0]["answers"][3].erase("answer");
  folder_.write("a.json", Json{{"annotations", annotations_}}.dump());
  EXPECT_THAT(testing::refusal_of([&] { score({{.question_id = 1, .text = "net"}}); }),
              HasSubstr("a.json: annotations[0]: answers[3]: answer: missing"));
  annotations_[0]["answers"] = Json::array({1});
  folder_.write("a.json", Json{{"annotations", annotations_}}.dump());
  EXPECT_THAT(testing::refusal_of([&] { score({{.question_id = 1, .text = "net"}}); }),
              HasSubstr("a.json: annotations[0]: answers: wrong type: expected 10 answers"));
  folder_.write("q.json", R"({"questions": [{"image_id": "x", "question": "What?", "question_id": 1}]})");
  EXPECT_THAT(testing::refusal_of([&] { vqav2_val_task().load(input_); }),
              HasSubstr("q.json: questions[0]: image_id: wrong"));
}

}  // namespace
}  // namespace moellava
