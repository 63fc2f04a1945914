#include "eval/tasks/pope.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const TaskInput kGolden{.questions = testing::golden("pope/questions.jsonl"),
                        .annotations = testing::golden("pope/annotations")};

TEST(Pope, ScoresAsTheOfficialScriptDoes) {
  const Scores scores = pope_task().score(kGolden, read_answers(testing::golden("pope/answers.jsonl")));
  const Json expected = read_json(testing::golden("pope/expected.json")).at("scores");
  double f1 = 0;
  for (const auto& [category, values] : expected.items()) {
    for (const auto& [name, value] : values.items())
      EXPECT_EQ(testing::figure(scores, category, name), value.get<double>()) << category << " " << name;
    f1 += values.at("f1").get<double>();
  }
  EXPECT_DOUBLE_EQ(scores.published.value().value, 100 * f1 / 3);
  EXPECT_EQ(scores.overall.questions, 90);
  EXPECT_DOUBLE_EQ(scores.yes_ratio.value(), (23 + 23 + 12) / 90.0);
}

TEST(Pope, DecidesAsTheOfficialScriptDoes) {
  const Json expected = read_json(testing::golden("pope/expected.json"));
  for (const Json& item : expected.at("decisions"))
    EXPECT_EQ(pope_says_no(item.at("text").get<std::string>()), item.at("decision") == "no") << item;
}

class PopeFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    input_.questions = folder_.write("q.jsonl",
                                     "{\"question_id\": 1, \"text\": \"a?\", \"category\": \"random\"}\n"
                                     "{\"question_id\": 2, \"text\": \"b?\", \"category\": \"random\"}\n");
    folder_.write("coco_pope_random.json", "{\"label\": \"yes\"}\n{\"label\": \"no\"}\n");
    input_.annotations = folder_ / "";
  }
  Scores score(const std::string& answers) const {
    return pope_task().score(input_, read_answers(folder_.write("a.jsonl", answers)));
  }
  std::string refusal(const std::string& answers) const {
    return testing::refusal_of([&] { score(answers); });
  }

  const testing::TemporaryFolder folder_;
  TaskInput input_;
  const std::string both_ =
      "{\"question_id\": 1, \"text\": \"Maybe\"}\n{\"question_id\": 2, \"text\": \" No \"}\n";
};

TEST_F(PopeFiles, CountUnclearAnswers) {
  const Scores scores = score(both_);
  EXPECT_EQ(testing::figure(scores, "random", "unclear"), 0.5);
  EXPECT_EQ(scores.yes_no_unclear, 1);
  EXPECT_EQ(testing::figure(scores, "random", "accuracy"), 1.0);  // "Maybe" counts as yes
  EXPECT_EQ(testing::figure(scores, "random", "exact_accuracy"), 0.5);
}

// The official script divides by zero.
TEST_F(PopeFiles, ScoreZeroWhereNothingIsAnsweredYes) {
  const Scores scores =
      score("{\"question_id\": 1, \"text\": \"no\"}\n{\"question_id\": 2, \"text\": \"no\"}\n");
  EXPECT_EQ(testing::figure(scores, "random", "f1"), 0.0);
  EXPECT_EQ(testing::figure(scores, "random", "precision"), 0.0);
}

TEST_F(PopeFiles, MustFitTogether) {
  EXPECT_THAT(refusal("{\"question_id\": 1, \"text\": \"no\"}\n"),
              HasSubstr("coco_pope_random.json: not a label for each answer: found 2 labels, expected 1"));
  EXPECT_THAT(refusal("{\"question_id\": 3, \"text\": \"no\"}\n"),
              HasSubstr("a.jsonl:1: question_id: not among"));
  input_.partial = true;
  EXPECT_EQ(score("{\"question_id\": 1, \"text\": \"no\"}\n").overall.questions, 1);
  folder_.write("coco_pope_random.json", "{\"label\": \"yes\"}\n{\"label\": \"maybe\"}\n");
  EXPECT_THAT(refusal(both_),
              HasSubstr("coco_pope_random.json:2: label: neither yes nor no: found \"maybe\""));
  folder_.write("q.jsonl", "{\"question_id\": 1, \"text\": \"a?\", \"category\": \"rare\"}\n");
  EXPECT_THAT(refusal(both_), HasSubstr("q.jsonl:1: category: unknown: found \"rare\""));
}

}  // namespace
}  // namespace moellava
