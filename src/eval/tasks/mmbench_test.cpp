#include "eval/tasks/mmbench.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"
#include "eval/spreadsheet.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kTable =
    "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\tsource\tl2-category\tcomment\tsplit\n"
    "7\tWhich?\tLook.\tred\tgreen\tblue\tnan\tB\tcolour\tR0lG\ts\tl\t\tdev\n"
    "8\t\"What \"\"is\"\" it?\"\t\tcat\tdog\t\t\tA\tobject\t7\ts\tl\t\tdev\n";

class MmBench : public ::testing::Test {
 protected:
  void SetUp() override { write(std::string(kTable)); }
  void write(const std::string& table) { input_.questions = folder_.write("t.tsv", table); }
  Scores score(const std::vector<std::pair<int64_t, std::string>>& given) const {
    std::vector<Answer> answers;
    for (const auto& [id, text] : given)
      answers.push_back(
          {.question_id = id, .prompt = "", .text = text, .model_id = "", .settings = "", .where = "a"});
    return mmbench_task().score(input_, answers);
  }
  std::string load_refusal(const std::string& from, const std::string& to) {
    std::string table(kTable);
    table.replace(table.find(from), from.size(), to);
    write(table);
    return testing::refusal_of([&] { mmbench_task().load(input_); });
  }

  const testing::TemporaryFolder folder_;
  TaskInput input_;
};

TEST_F(MmBench, AsksWithHintAndOptions) {
  const std::vector<Question> questions = mmbench_task().load(input_);
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ(questions[0].text,
            "Look.\nWhich?\nA. red\nB. green\nC. blue\n"
            "Answer with the option's letter from the given choices directly.");
  EXPECT_EQ(*questions[0].picture, "GIF");
  EXPECT_EQ(questions[1].picture, questions[0].picture);  // named by its row
  EXPECT_EQ(questions[1].image, questions[0].image);      // so the tower sees it once
  EXPECT_THAT(mmbench_cn_task().load(input_)[1].text,
              "What \"is\" it?\nA. cat\nB. dog\n请直接回答选项字母。");
}

TEST_F(MmBench, TurnsTheOptionsRound) {
  input_.circular = true;
  const std::vector<Question> questions = mmbench_task().load(input_);
  ASSERT_EQ(questions.size(), 5U);
  EXPECT_EQ(questions[2].id, 2'000'007);
  EXPECT_THAT(questions[2].text, HasSubstr("A. blue\nB. red\nC. green\n"));
  std::vector<std::string> answers;
  for (const Question& question : questions) answers.push_back(question.answer);
  EXPECT_THAT(answers, ElementsAre("B", "A", "C", "A", "B"));
  // One wrong rotation makes the question wrong.
  const Scores scores =
      score({{7, "B"}, {1'000'007, "A. green"}, {2'000'007, "A"}, {8, "A"}, {1'000'008, "(B)"}});
  EXPECT_EQ(scores.overall.questions, 2);
  EXPECT_EQ(scores.overall.correct, 1);
  EXPECT_EQ(scores.categories[0].correct, 0);
}

TEST_F(MmBench, ScoresLetters) {
  const Scores scores = score({{7, "B."}, {8, "dog"}});
  EXPECT_EQ(scores.published.value().value, 50);
  for (const auto& [text, choice] :
       {std::pair{"B", 'B'}, {" B. a dog", 'B'}, {"(C)", 'C'}, {"A: cat", 'A'}, {"D\n", 'D'}})
    EXPECT_EQ(chosen_option(text, "ABCD"), choice) << text;
  for (const char* text : {"", "A dog", "Apple", "E", "dog", "b", "A's"})
    EXPECT_EQ(chosen_option(text, "ABCD"), 0) << text;
}

TEST_F(MmBench, EndsTheOptionsWhereOneIsMissing) {
  for (const auto& [value, options] :
       {std::pair{"N/A", 2}, {"None", 2}, {"", 2}, {"Na", 3}, {"null and void", 3}}) {
    std::string table(kTable);
    table.replace(table.find("blue"), 4, value);
    write(table);
    const std::string text = mmbench_task().load(input_)[0].text;
    EXPECT_EQ(text.find("C. ") != std::string::npos, options == 3) << value;
  }
}

TEST_F(MmBench, WritesTheUploadTable) {
  const std::vector<Answer> answers = {{.question_id = 7, .text = "B"}, {.question_id = 8, .text = "a\tb"}};
  const std::vector<std::vector<std::string>> rows = {
      {"index", "question", "A", "B", "C", "D", "prediction", "answer", "split"},
      {"7", "Which?", "red", "green", "blue", "nan", "B", "B", "dev"},
      {"8", "What \"is\" it?", "cat", "dog", "", "", "a\tb", "A", "dev"}};
  EXPECT_EQ(mmbench_upload(input_, answers), rows);
  EXPECT_EQ(mmbench_task().submission(input_, answers), spreadsheet(rows));
  EXPECT_THAT(testing::refusal_of([&] { mmbench_task().submission(input_, std::span(answers).first(1)); }),
              HasSubstr("t.tsv:3: index: has no answer"));
}

TEST_F(MmBench, NamesWhatIsWrong) {
  EXPECT_THAT(load_refusal("R0lG", "R0!G"), HasSubstr("t.tsv:2: image: not base64"));
  EXPECT_THAT(load_refusal("R0lG", ""), HasSubstr("t.tsv:2: image: empty"));
  EXPECT_THAT(load_refusal("\n7\t", "\n-7\t"), HasSubstr("t.tsv:2: index: not an index: found \"-7\""));
  EXPECT_THAT(load_refusal("\tgreen\t", "\t\t"),
              HasSubstr("t.tsv:2: B: a question with less than two options"));
  EXPECT_THAT(load_refusal("nan\tB", "nan\tD"), HasSubstr("t.tsv:2: answer: not the letter of an option"));
  EXPECT_THAT(load_refusal("\timage\t", "\tpicture\t"), HasSubstr("t.tsv:1: image: no such column"));
  write("index\tquestion\tA\tB\timage\n7\tWhich?\ta\tb\tR0lG\n");
  EXPECT_THAT(testing::refusal_of([&] { score({{7, "A"}}); }), HasSubstr("t.tsv:2: answer: missing"));
}

}  // namespace
}  // namespace moellava
