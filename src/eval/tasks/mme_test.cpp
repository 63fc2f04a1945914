#include "eval/tasks/mme.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

class Mme : public ::testing::Test {
 protected:
  void SetUp() override {
    input_.annotations = folder_ / "truth";
    std::filesystem::create_directories(input_.annotations);
    // Both layouts, and the blanks of the published files.
    folder_.write("truth/OCR/1.txt",
                  "Is it red? Please answer yes or no.\tYes\nIs it  blue?  Please answer yes or no.\tNo\n");
    folder_.write("truth/OCR/2.txt",
                  "Is it red? Please answer yes or no.\tYes\nIs it blue? Please answer yes or no.\tNo\n");
    folder_.write("truth/code_reasoning/questions_answers_YN/1.txt",
                  "Is it 1? Please answer yes or no.\tYes\r\nIs it 2? Please answer yes or no.\tNo\r\n");
    std::string questions;
    for (const char* id : {"OCR/1.jpg", "OCR/2.jpg"})
      questions += line(id, "Is it red?", "") + line(id, "Is it blue?", "");
    questions += line("code_reasoning/1.png", "Is it 1?", "") + line("code_reasoning/1.png", "Is it 2?", "");
    input_.questions = folder_.write("q.jsonl", questions);
  }
  static std::string line(const std::string& id, const std::string& text, const std::string& answer) {
    const std::string prompt = text + "\nAnswer the question using a single word or phrase.";
    return answer.empty() ? Json{{"question_id", id}, {"text", prompt}}.dump() + "\n"
                          : Json{{"question_id", id}, {"prompt", prompt}, {"text", answer}}.dump() + "\n";
  }
  Scores score(const std::string& answers) const {
    return mme_task().score(input_, read_answers(folder_.write("a.jsonl", answers)));
  }

  const testing::TemporaryFolder folder_;
  TaskInput input_;
  const std::string answers_ =
      line("OCR/1.jpg", "Is it red?", "Yes.") + line("OCR/1.jpg", "Is it blue?", "no") +
      line("OCR/2.jpg", "Is it blue?", "Yes") + line("OCR/2.jpg", "Is it red?", "yes") +
      line("code_reasoning/1.png", "Is it 1?", "It is 1, yes") +
      line("code_reasoning/1.png", "Is it 2?", "No, it is not");
};

TEST_F(Mme, ScoresPointsOfSubtasks) {
  const Scores scores = score(answers_);
  EXPECT_EQ(testing::figure(scores, "perception", "OCR acc"), 75);
  EXPECT_EQ(testing::figure(scores, "perception", "OCR acc+"), 50);
  EXPECT_EQ(testing::figure(scores, "perception", "OCR"), 125);
  EXPECT_EQ(testing::figure(scores, "perception", "total"), 125);
  EXPECT_EQ(testing::figure(scores, "cognition", "code_reasoning"),
            50);  // "It is 1, yes" begins with neither
  EXPECT_EQ(scores.published.value().value, 125);
  EXPECT_EQ(scores.yes_no_unclear, 1);
  EXPECT_DOUBLE_EQ(scores.yes_ratio.value(), 0.5);
}

TEST_F(Mme, NamesWhatIsWrong) {
  const auto refusal = [&](const std::string& answers) {
    return testing::refusal_of([&] { score(answers); });
  };
  EXPECT_THAT(refusal(line("OCR/1.jpg", "Is it red?", "yes")),
              HasSubstr("q.jsonl:2: question_id: has no answer"));
  EXPECT_THAT(refusal(line("OCR/1.jpg", "Is it green?", "yes")),
              HasSubstr("a.jsonl:1: question_id: not among"));
  folder_.write("truth/OCR/1.txt", "Is it red? Please answer yes or no.\tYes\nIs it blue?\n");
  EXPECT_THAT(refusal(answers_), HasSubstr("1.txt:2: no truth"));
  folder_.write("truth/OCR/1.txt", "Is it green? Please answer yes or no.\tYes\n");
  EXPECT_THAT(refusal(answers_), HasSubstr("a.jsonl:1: prompt: not among the picture's questions"));
  std::filesystem::remove(folder_ / "truth/OCR/1.txt");
  EXPECT_THAT(refusal(answers_), HasSubstr("a.jsonl:1: question_id: no such file"));
}

TEST(MmeDecision, LooksAtTheFirstFourCharacters) {
  for (const auto& [text, decision] : {std::pair{"Yes", "yes"},
                                       {"no", "no"},
                                       {"No, it", "no"},
                                       {" yes", "yes"},
                                       {"not so", "no"},
                                       {"It's no", "other"},
                                       {"", "other"},
                                       {"know", "no"}})
    EXPECT_EQ(mme_decision(text), decision) << text;
}

}  // namespace
}  // namespace moellava
