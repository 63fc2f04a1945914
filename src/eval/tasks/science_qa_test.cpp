#include "eval/tasks/science_qa.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const TaskInput kGolden{.questions = {}, .annotations = testing::golden("sqa")};

TEST(ScienceQa, ScoresAsTheOfficialScriptDoes) {
  const Scores scores = science_qa_task().score(kGolden, read_answers(testing::golden("sqa/answers.jsonl")));
  const Json expected = read_json(testing::golden("sqa/expected_result.json"));
  EXPECT_EQ(scores.overall.questions, expected.at("count"));
  EXPECT_EQ(scores.overall.correct, expected.at("correct"));
  EXPECT_DOUBLE_EQ(100 * scores.overall.accuracy(), expected.at("acc"));
  const auto printed = read_json(testing::golden("sqa/expected.json")).at("stdout").get<std::string>();
  char accuracy[64];
  std::snprintf(accuracy, sizeof accuracy, "IMG-Accuracy: %.2f%%", scores.published.value().value);
  EXPECT_THAT(printed, HasSubstr(accuracy));
}

TEST(ScienceQa, ChoosesAsTheOfficialScriptDoes) {
  const Json result = read_json(testing::golden("sqa/expected_result.json"));
  const Json problems = read_json(testing::golden("sqa/problems.json"));
  for (const auto& [id, text] : result.at("outputs").items()) {
    const char choice = science_qa_choice(text.get<std::string>());
    const int64_t place = choice - 'A';
    const bool possible =
        choice != '\0' && place < static_cast<int64_t>(problems.at(id).at("choices").size());
    EXPECT_EQ(possible ? place : -1, result.at("results").at(id)) << text;
  }
}

TEST(ScienceQa, AsksForALetter) {
  const testing::TemporaryFolder folder;
  const TaskInput input{.questions = folder.write("q.json",
                                                  R"([{"id": "5", "image": "5/image.png", "conversations": [
                                 {"from": "human", "value": "<image>\nWhich?\nA. x\nB. y"}]},
                                {"id": "6", "conversations": [{"from": "human", "value": " Why? "}]}])"),
                        .annotations = {}};
  const std::vector<Question> questions = science_qa_task().load(input);
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ(questions[0].image, "5/image.png");
  EXPECT_EQ(recorded_prompt(questions[0], science_qa_task().marks_pictures),
            "<image>\nWhich?\nA. x\nB. y\nAnswer with the option's letter from the given choices directly.");
  EXPECT_EQ(recorded_prompt(questions[1], science_qa_task().marks_pictures),
            "Why?\nAnswer with the option's letter from the given choices directly.");
  EXPECT_TRUE(science_qa_task().center_crop);
}

TEST(ScienceQa, NamesWhatIsWrong) {
  const testing::TemporaryFolder folder;
  const auto load_refusal = [&](const char* content) {
    const TaskInput input{.questions = folder.write("q.json", content), .annotations = {}};
    return testing::refusal_of([&] { science_qa_task().load(input); });
  };
  EXPECT_THAT(load_refusal("{}"), HasSubstr("q.json: wrong type"));
  EXPECT_THAT(load_refusal(R"([{"id": "1", "conversations": []}])"), HasSubstr("q.json: [0]: conversations"));
  EXPECT_THAT(load_refusal(R"([{"conversations": []}])"), HasSubstr("q.json: [0]: id: missing field"));
  EXPECT_THAT(load_refusal(R"([{"id": "1", "conversations": [{"value": "<image>"}]}])"),
              HasSubstr("value: empty"));

  const auto score_refusal = [&](const char* problems) {
    folder.write("problems.json", problems);
    folder.write("pid_splits.json", R"({"test": ["1"]})");
    const TaskInput input{.questions = {}, .annotations = folder / ""};
    return testing::refusal_of([&] { science_qa_task().score(input, {}); });
  };
  EXPECT_THAT(score_refusal("{}"), HasSubstr("problems.json: 1: missing"));
  EXPECT_THAT(score_refusal(R"({"1": {"choices": ["a"], "answer": 0}})"),
              HasSubstr("1: choices: wrong type"));
  EXPECT_THAT(score_refusal(R"({"1": {"choices": ["a", "b"], "answer": 2}})"), HasSubstr("1: answer: wrong"));
}

}  // namespace
}  // namespace moellava
