// Rows that are wrong, in every format that a benchmark is read from: file, line and field are named.
#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

struct BadRow {
  const char* row;
  const char* field;  // that the message names; "" for a line that is no object
};

// Of question files in JSON lines.
constexpr BadRow kQuestions[] = {
    {"{\"question_id\": 2, \"text\"", ""},
    {"[1, 2]", ""},
    {"{\"question_id\": 2, \"text\": \"b\"} trailing", ""},
    {"{\"question_id\": 2, \"question_id\": 3, \"text\": \"b\"}", "question_id"},
    {"{\"text\": \"b\"}", "question_id"},
    {"{\"question_id\": 1.5, \"text\": \"b\"}", "question_id"},
    {"{\"question_id\": null, \"text\": \"b\"}", "question_id"},
    {"{\"question_id\": 2}", "text"},
    {"{\"question_id\": 2, \"text\": \"\"}", "text"},
    {"{\"question_id\": 2, \"text\": 7}", "text"},
    {"{\"question_id\": 2, \"text\": \"<image> b\"}", "text"},
    {"{\"question_id\": 2, \"text\": \"b\", \"image\": 7}", "image"},
    {"{\"question_id\": 2, \"text\": \"b\", \"image\": \"\"}", "image"},
    {"{\"question_id\": 2, \"text\": \"b\", \"category\": 7}", "category"},
};

class BadFiles : public ::testing::Test {
 protected:
  const testing::TemporaryFolder folder_;
};

class QuestionLines : public BadFiles, public ::testing::WithParamInterface<const char*> {};

TEST_P(QuestionLines, AreNamedByLineAndField) {
  const Task& task = find_task(GetParam());
  // Good in every format: POPE's category, TextVQA's two lines, a true answer.
  const std::string good =
      "{\"question_id\": 1, \"text\": \"a\\nb\", \"category\": \"random\", \"answer\": \"yes\"}\n";
  for (const BadRow& bad : kQuestions) {
    const auto path = folder_.write("q.jsonl", good + bad.row + "\n" + good);
    const std::string refused = testing::refusal_of([&] { task.load({.questions = path}); });
    EXPECT_THAT(refused, HasSubstr(path.string() + ":2")) << bad.row;
    EXPECT_THAT(refused, HasSubstr(bad.field)) << bad.row;
  }
  EXPECT_EQ(task.load({.questions = folder_.write("q.jsonl", good)}).size(), 1U);
  EXPECT_THAT(testing::refusal_of([&] { task.load({.questions = folder_.write("q.jsonl", "\n")}); }),
              HasSubstr("q.jsonl: no records in it"));
}

INSTANTIATE_TEST_SUITE_P(Tasks, QuestionLines,
                         ::testing::Values("short_answer", "vqav2", "vizwiz", "textvqa", "pope", "mme",
                                           "seed_bench", "llava_bench", "mm_vet"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_F(BadFiles, AnswersAreNamedByLineAndField) {
  constexpr BadRow rows[] = {{"{\"question_id\": 2, \"text\"", ""},
                             {"7", ""},
                             {"{\"text\": \"b\"}", "question_id"},
                             {"{\"question_id\": [], \"text\": \"b\"}", "question_id"},
                             {"{\"question_id\": 2}", "text"},
                             {"{\"question_id\": 2, \"text\": null}", "text"},
                             {"{\"question_id\": 2, \"text\": \"b\", \"prompt\": 1}", "prompt"},
                             {"{\"question_id\": 2, \"text\": \"b\", \"metadata\": 1}", "metadata"}};
  for (const BadRow& bad : rows) {
    const auto path =
        folder_.write("a.jsonl", "{\"question_id\": 1, \"text\": \"a\"}\n" + std::string(bad.row) + "\n");
    const std::string refused = testing::refusal_of([&] { read_answers(path); });
    EXPECT_THAT(refused, HasSubstr(path.string() + ":2")) << bad.row;
    EXPECT_THAT(refused, HasSubstr(bad.field)) << bad.row;
  }
}

// MMBench's table: a line may hold line breaks in quotes, and is counted where it begins.
TEST_F(BadFiles, TableRowsAreNamedByLineAndField) {
  const std::string head = "index\tquestion\tA\tB\tanswer\timage\n1\t\"two\nlines\"\tx\ty\tA\tR0lG\n";
  constexpr BadRow rows[] = {{"x\tq\tx\ty\tA\tR0lG", "index"},  {"-2\tq\tx\ty\tA\tR0lG", "index"},
                             {"2\tq\tx\t\tA\tR0lG", "B"},       {"2\tq\tx\ty\tC\tR0lG", "answer"},
                             {"2\tq\tx\ty\tA\tR0l!G", "image"}, {"2\tq\tx\ty\tA\t", "image"},
                             {"2\tq\tx\ty\tA", "fields"},       {"2\t\"q\tx\ty\tA\tR0lG", "quote"}};
  for (const BadRow& bad : rows) {
    const auto path = folder_.write("t.tsv", head + bad.row + "\n");
    const std::string refused = testing::refusal_of([&] { find_task("mmbench").load({.questions = path}); });
    EXPECT_THAT(refused, HasSubstr("t.tsv:4")) << bad.row;
    EXPECT_THAT(refused, HasSubstr(bad.field)) << bad.row;
  }
  for (const char* column : {"index", "question", "image"}) {
    std::string without = head;
    without.replace(without.find(column), std::string_view(column).size(), "other");
    EXPECT_THAT(testing::refusal_of(
                    [&] { find_task("mmbench").load({.questions = folder_.write("t.tsv", without)}); }),
                HasSubstr("t.tsv:1: " + std::string(column) + ": no such column"));
  }
}

// Whole JSON documents are named by record and field.
TEST_F(BadFiles, RecordsOfListsAreNamedByNumberAndField) {
  constexpr BadRow science[] = {
      {R"([{"id": "1", "conversations": [{"value": "q"}]}, 7])", "[1]"},
      {R"([{"conversations": [{"value": "q"}]}])", "[0]: id"},
      {R"([{"id": "1"}])", "[0]: conversations"},
      {R"([{"id": "1", "conversations": [{"from": "human"}]}])", "conversations[0]: value"},
      {R"([{"id": "1", "image": 7, "conversations": [{"value": "q"}]}])", "[0]: image"},
      {R"([])", "wrong type"},
      {R"([{"id": "1",]])", "line 1"}};
  for (const BadRow& bad : science) {
    const auto path = folder_.write("s.json", bad.row);
    const std::string refused =
        testing::refusal_of([&] { find_task("scienceqa").load({.questions = path}); });
    EXPECT_THAT(refused, ::testing::AllOf(HasSubstr("s.json"), HasSubstr(bad.field))) << bad.row;
  }
  constexpr BadRow gqa[] = {{R"({"01": {"answer": "yes", "imageId": "1"}})", "01: question"},
                            {R"({"01": {"question": "q", "imageId": "1"}})", "01: answer"},
                            {R"({"01": {"question": "q", "answer": "yes", "imageId": 1}})", "01: imageId"},
                            {R"({"01": 7})", "01"}};
  for (const BadRow& bad : gqa) {
    const auto path = folder_.write("g.json", bad.row);
    const std::string refused = testing::refusal_of([&] { find_task("gqa").load({.questions = path}); });
    EXPECT_THAT(refused, ::testing::AllOf(HasSubstr("g.json"), HasSubstr(bad.field))) << bad.row;
  }
}

}  // namespace
}  // namespace moellava
