#include "eval/answer_log.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

class AnswerLogs : public ::testing::Test {
 protected:
  AnswerLog open(const std::string& model = "moe", const std::string& settings = "") const {
    return AnswerLog(path_, find_task("short_answer"), questions_, model, settings);
  }
  std::string content() const { return read_file(path_, 1 << 20); }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "answers.jsonl";
  const std::vector<Question> questions_ = {
      {.id = 7, .image = "a.png", .text = "Is there a dog?", .category = "", .answer = "", .where = "q:1"},
      {.id = "x", .image = "", .text = "Two\nlines?", .category = "", .answer = "", .where = "q:2"},
      {.id = 9, .image = "a.png", .text = "How many?", .category = "", .answer = "", .where = "q:3"}};
};

TEST_F(AnswerLogs, WriteLlavasLines) {
  AnswerLog log = open("moe", "max_new_tokens 12");
  log.add(0, "yes");
  EXPECT_THAT(
      content(),
      ::testing::MatchesRegex(
          "\\{\"question_id\":7,\"prompt\":\"Is there a dog\\?\",\"text\":\"yes\",\"answer_id\":\"[2-9A-"
          "Za-z]{22}\",\"model_id\":\"moe\",\"metadata\":\\{\"settings\":\"max_new_tokens "
          "12\"\\}\\}\n"));
}

TEST_F(AnswerLogs, EndInTheOrderOfTheQuestions) {
  {
    AnswerLog log = open();
    for (const size_t i : {2, 0, 1}) log.add(i, "answer " + std::to_string(i));
    log.finish();
  }
  const std::string whole = content();
  std::vector<std::string> texts;
  for (const Answer& answer : read_answers(path_)) texts.push_back(answer.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"answer 0", "answer 1", "answer 2"}));
  // Another run, another order of asking.
  std::filesystem::remove(path_);
  AnswerLog log = open();
  for (const size_t i : {0, 1, 2}) log.add(i, "answer " + std::to_string(i));
  log.finish();
  EXPECT_EQ(content(), whole);
}

// A kill may come anywhere: within a line, before its break, behind it.
TEST_F(AnswerLogs, GoOnFromWhereverTheFileEnds) {
  const auto answer_rest = [&](AnswerLog log) {
    for (const size_t i : {2, 0, 1}) {
      if (!log.has(i)) log.add(i, "answer \xff" + std::to_string(i));
    }
    const std::string appended = content();
    log.finish();
    return appended;
  };
  const std::string appended = answer_rest(open());
  const std::string expected = content();
  std::vector<size_t> ends = {0, 1};
  for (size_t at = appended.find('\n'); at != std::string::npos; at = appended.find('\n', at + 1))
    ends.insert(ends.end(), {at - 20, at, at + 1});
  ASSERT_EQ(ends.size(), 2U + 3 * 3);
  for (const size_t end : ends) {
    folder_.write("answers.jsonl", appended.substr(0, end));
    const auto whole = std::count(appended.begin(), appended.begin() + static_cast<long>(end), '\n');
    AnswerLog log = open();
    EXPECT_GE(std::ssize(log.answers()), whole) << end << " bytes";
    answer_rest(std::move(log));
    ASSERT_EQ(content(), expected) << end << " bytes";
  }
}

TEST_F(AnswerLogs, RefuseAnotherRunsFile) {
  {
    AnswerLog log = open("moe", "max_new_tokens 12");
    log.add(0, "yes");
  }
  const std::string before = content();
  EXPECT_THAT(
      testing::refusal_of([&] { open("dense", "max_new_tokens 12"); }),
      HasSubstr("answers.jsonl:1: model_id: answers of another run: found \"moe\", expected \"dense\""));
  EXPECT_THAT(testing::refusal_of([&] { open("moe", "max_new_tokens 128"); }),
              HasSubstr("metadata: settings: "));
  EXPECT_EQ(content(), before);
  folder_.write("answers.jsonl",
                "{\"question_id\": 7, \"prompt\": \"What else?\", \"text\": \"\", \"model_id\": \"moe\"}\n");
  EXPECT_THAT(testing::refusal_of([&] { open(); }),
              HasSubstr("answers.jsonl:1: prompt: not what is asked now"));
  folder_.write("answers.jsonl", "{\"question_id\": 8, \"text\": \"\", \"model_id\": \"moe\"}\n");
  EXPECT_THAT(testing::refusal_of([&] { open(); }), HasSubstr("answers.jsonl:1: question_id: not among"));
}

TEST_F(AnswerLogs, HaveTheSameIdsInEqualRunsOnly) {
  std::set<std::string> ids;
  for (const std::string model : {"moe", "dense", "moe"}) {
    std::filesystem::remove(path_);
    AnswerLog log = open(model);
    log.add(0, "yes");
    log.add(1, "no");
    ids.insert(parse_json(content().substr(0, content().find('\n')), "line 1").at("answer_id"));
  }
  EXPECT_EQ(ids.size(), 2U);
}

TEST_F(AnswerLogs, KeepAnswersInMemoryWithoutAFile) {
  AnswerLog log({}, find_task("short_answer"), questions_, "moe", "");
  log.add(1, "yes");
  log.finish();
  ASSERT_EQ(log.answers().size(), 1U);
  EXPECT_EQ(log.answers()[0].question_id, "x");
}

}  // namespace
}  // namespace moellava
