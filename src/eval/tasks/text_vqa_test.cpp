#include "eval/tasks/text_vqa.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const TaskInput kGolden{.questions = {}, .annotations = testing::golden("textvqa/annotations.json")};

TEST(TextVqa, ScoresAsTheOfficialScriptDoes) {
  const std::vector<Answer> answers = read_answers(testing::golden("textvqa/answers.jsonl"));
  const Json expected = read_json(testing::golden("textvqa/expected.json"));
  const Scores scores = text_vqa_task().score(kGolden, answers);
  EXPECT_EQ(scores.overall.accuracy(), expected.at("accuracy"));

  TaskInput one = kGolden;
  one.partial = true;
  const Json& samples = expected.at("per_sample");
  ASSERT_EQ(samples.size(), answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(text_vqa_question(answers[i].prompt, ""), samples[i].at("question_from_prompt"));
    // Each of the human answers as a prediction.
    for (const auto& [text, value] : samples[i].at("unique_answer_scores").items()) {
      Answer human = answers[i];
      human.text = text;
      EXPECT_EQ(text_vqa_task().score(one, std::span(&human, 1)).overall.correct, value) << text;
    }
    EXPECT_EQ(text_vqa_task().score(one, std::span(&answers[i], 1)).overall.correct, samples[i].at("score"));
  }
}

TEST(TextVqa, NamesWhatIsWrong) {
  const testing::TemporaryFolder folder;
  const auto refusal = [&](const std::string& answers) {
    return testing::refusal_of(
        [&] { text_vqa_task().score(kGolden, read_answers(folder.write("a.jsonl", answers))); });
  };
  EXPECT_THAT(refusal("{\"question_id\": \"im0\", \"prompt\": \"one line\", \"text\": \"\"}\n"),
              HasSubstr("a.jsonl:1: prompt: not a TextVQA prompt"));
  EXPECT_THAT(refusal("{\"question_id\": \"im0\", \"prompt\": \"Why?\\nx\", \"text\": \"\"}\n"),
              HasSubstr("a.jsonl:1: a question without human answers: found \"why?\""));
  EXPECT_THAT(refusal("{\"question_id\": 0, \"prompt\": \"Why?\\nx\", \"text\": \"\"}\n"),
              HasSubstr("a.jsonl:1: question_id: wrong type"));
  EXPECT_THAT(
      refusal("{\"question_id\": \"im0\", \"prompt\": \"what number is this?\\nx\", \"text\": \"\"}\n"),
      HasSubstr("annotations.json: not every question is answered: found 1 answers, expected 8"));
  const TaskInput bad{.questions = {},
                      .annotations = folder.write("t.json", R"({"data": [{"image_id": "a", "question": "b",
                                                               "answers": ["c"]}]})")};
  EXPECT_THAT(testing::refusal_of([&] { text_vqa_task().score(bad, {}); }),
              HasSubstr("t.json: data[0]: answers: wrong type: expected 10 strings"));
  const TaskInput asked{.questions =
                            folder.write("q.jsonl", "{\"question_id\": \"a\", \"text\": \"Why?\"}\n")};
  EXPECT_THAT(testing::refusal_of([&] { text_vqa_task().load(asked); }),
              HasSubstr("q.jsonl:1: text: not a TextVQA prompt"));
}

}  // namespace
}  // namespace moellava
