#include "eval/answers.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

Question question(const Json& id, const std::string& text) {
  return {.id = id, .image = "a.png", .text = text, .category = "", .answer = "", .where = "q.jsonl:1"};
}

Answer answer(const Json& id, const std::string& prompt, const std::string& text) {
  return {.question_id = id,
          .prompt = prompt,
          .text = text,
          .model_id = "",
          .settings = "",
          .where = "a.jsonl:1"};
}

std::vector<std::string> texts(const std::vector<const Answer*>& answers) {
  std::vector<std::string> texts;
  for (const Answer* item : answers) texts.push_back(item == nullptr ? "-" : item->text);
  return texts;
}

TEST(Answers, AreMatchedByIdWhateverTheOrderAndThePrompt) {
  const std::vector<Question> questions = {question(1, "a?"), question("1", "b?"), question(2, "c?")};
  const std::vector<Answer> answers = {answer("1", "other", "second"), answer(1, "", "first")};
  EXPECT_EQ(texts(match_answers(questions, answers)), (std::vector<std::string>{"first", "second", "-"}));
}

TEST(Answers, AreMatchedByPromptWhereIdsRepeat) {
  const std::vector<Question> questions = {question("im", "a?"), question("im", "b?"), question("im", "b?")};
  const std::vector<Answer> answers = {answer("im", "b?", "x"), answer("im", "a?", "y"),
                                       answer("im", "b?", "z")};
  EXPECT_EQ(texts(match_answers(questions, answers)), (std::vector<std::string>{"y", "x", "z"}));
  const std::vector<Answer> marked = {answer("im", "<image>\na?", "x")};
  EXPECT_EQ(texts(match_answers(questions, marked, /*marks_pictures=*/true))[0], "x");
  EXPECT_THAT(testing::refusal_of([&] { match_answers(questions, marked); }),
              HasSubstr("not among the questions"));
}

TEST(Answers, MustBeToTheQuestions) {
  const std::vector<Question> questions = {question(1, "a?"), question(2, "b?")};
  const auto refusal = [&](const std::vector<Answer>& answers) {
    return testing::refusal_of([&] { require_answers(questions, answers, /*partial=*/false); });
  };
  EXPECT_THAT(refusal({answer(3, "", "x")}),
              HasSubstr("a.jsonl:1: question_id: not among the questions: found 3"));
  EXPECT_THAT(refusal({answer(1, "", "x"), answer(1, "", "y")}), HasSubstr("question_id: answered twice"));
  EXPECT_THAT(refusal({answer(1, "", "x")}), HasSubstr("q.jsonl:1: question_id: has no answer: found 2"));
  EXPECT_EQ(texts(require_answers(questions, std::vector<Answer>{answer(1, "", "x")}, true)),
            (std::vector<std::string>{"x", "-"}));
}

class AnswerFiles : public ::testing::Test {
 protected:
  std::string refusal(const std::string& content) const {
    return testing::refusal_of([&] { read_answers(folder_.write("a.jsonl", content)); });
  }
  const testing::TemporaryFolder folder_;
  const std::string good_ = "{\"question_id\": 1, \"text\": \"yes\"}\n";
};

TEST_F(AnswerFiles, LoseTheirLastLineOnlyWhenItWasCutOff) {
  for (const char* rest : {"{\"question_id\": 2, \"te", "{"})
    EXPECT_EQ(read_answers(folder_.write("a.jsonl", good_ + rest)).size(), 1U);
  EXPECT_EQ(read_answers(folder_.write("a.jsonl", good_ + "{\"question_id\": 2, \"text\": \"\"}")).size(),
            2U);
  EXPECT_THAT(refusal(good_ + "{broken\n"), HasSubstr("a.jsonl:2: not valid JSON"));
  EXPECT_THAT(refusal("{broken\n" + good_), HasSubstr("a.jsonl:1: not valid JSON"));
  EXPECT_EQ(read_answers(folder_.write("a.jsonl", "{broken\n" + good_), /*skip_broken=*/true).size(), 1U);
}

TEST_F(AnswerFiles, NameFileLineAndField) {
  EXPECT_THAT(refusal(good_ + "{\"text\": \"yes\"}\n"), HasSubstr("a.jsonl:2: question_id: missing field"));
  EXPECT_THAT(refusal("{\"question_id\": 1}\n"), HasSubstr("a.jsonl:1: text: missing field"));
  EXPECT_THAT(refusal("{\"question_id\": [], \"text\": \"\"}\n"),
              HasSubstr("a.jsonl:1: question_id: wrong type"));
  EXPECT_THAT(refusal("{\"question_id\": 1, \"text\": 3}\n"), HasSubstr("a.jsonl:1: text: wrong type"));
  EXPECT_THAT(refusal("[]\n"), HasSubstr("a.jsonl:1: not a JSON object"));
}

}  // namespace
}  // namespace moellava
