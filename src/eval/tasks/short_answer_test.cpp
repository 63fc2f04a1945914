#include "eval/tasks/short_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

struct Case {
  const char* truth;
  const char* answer;
  bool correct;
};

class ShortAnswerCases : public testing::TestWithParam<Case> {};

TEST_P(ShortAnswerCases, AreScored) {
  const Case& c = GetParam();
  EXPECT_EQ(is_correct(c.truth, c.answer), c.correct) << "\"" << c.truth << "\" / \"" << c.answer << "\"";
}

INSTANTIATE_TEST_SUITE_P(
    Table, ShortAnswerCases,
    testing::Values(Case{"dog", "dog", true}, Case{"dog", "Dog", true}, Case{"dog", "dog.", true},
                    Case{"dog", "A dog", true}, Case{"dog", "the dog!", true}, Case{"dog", "  dog \n", true},
                    Case{"A dog.", "dog", true}, Case{"dog", "dogs", false}, Case{"dog", "dog cat", false},
                    Case{"dog", "hot dog", false}, Case{"dog", "", false}, Case{"dog", ".", false},
                    Case{"ice cream", "Ice  cream.", true}, Case{"ice cream", "ice", false},
                    Case{"ant", "an ant", true}, Case{"two", "two", true},
                    Case{"left", "On the left.", false}, Case{"on the left", "On left", true},
                    Case{"3.5", "3.5", true}, Case{"3.5", "35", false},
                    // Yes and no: the first word decides.
                    Case{"yes", "yes", true}, Case{"yes", "Yes, there is a dog.", true},
                    Case{"yes", "No", false}, Case{"no", "No.", true}, Case{"no", "no, there is not", true},
                    Case{"no", "nothing", false}, Case{"no", "There is no dog", false},
                    Case{"yes", "yesterday", false}, Case{"Yes", "YES!", true}, Case{"no", "", false},
                    Case{"no", "\n No", true},
                    // A truth that only begins with "no" is matched whole.
                    Case{"no idea", "no", false}, Case{"no idea", "No idea.", true}));

Question question(const std::string& category, const std::string& answer) {
  return {.id = 0, .image = "", .text = "?", .category = category, .answer = answer, .where = "q.jsonl:1"};
}

TEST(ShortAnswer, TalliesCategoriesAndMajorities) {
  const std::vector<Question> questions = {question("presence", "yes"), question("presence", "no"),
                                           question("presence", "no"),  question("presence", "No."),
                                           question("object", "dog"),   question("object", "cat"),
                                           question("object", "a cat")};
  const std::vector<std::string> answers = {"Yes", "yes there is", "no", "maybe", "dog", "dog", "Cat"};
  const Scores scores = short_answer_task().score(questions, answers);

  ASSERT_EQ(scores.categories.size(), 2U);
  const Tally& object = scores.categories[0];
  EXPECT_EQ(object.category, "object");
  EXPECT_EQ(object.questions, 3);
  EXPECT_EQ(object.correct, 2);
  EXPECT_EQ(object.majority_answer, "cat");
  EXPECT_EQ(object.majority_correct, 2);
  const Tally& presence = scores.categories[1];
  EXPECT_EQ(presence.questions, 4);
  EXPECT_EQ(presence.correct, 2);
  EXPECT_EQ(presence.majority_answer, "no");
  EXPECT_EQ(presence.majority_correct, 3);

  EXPECT_EQ(scores.overall.questions, 7);
  EXPECT_DOUBLE_EQ(scores.overall.accuracy(), 4.0 / 7);
  EXPECT_DOUBLE_EQ(scores.overall.majority(), 5.0 / 7);
  EXPECT_EQ(scores.yes_no_questions, 4);
  EXPECT_EQ(scores.yes_no_unclear, 1);
  EXPECT_DOUBLE_EQ(scores.yes_ratio.value(), 0.5);
}

TEST(ShortAnswer, MajorityTiesDoNotDependOnTheOrder) {
  const std::vector<std::string> answers = {"", ""};
  for (const auto& [first, second] : {std::pair{"dog", "cat"}, std::pair{"cat", "dog"}}) {
    const std::vector<Question> questions = {question("object", first), question("object", second)};
    EXPECT_EQ(short_answer_task().score(questions, answers).categories[0].majority_answer, "cat");
  }
}

TEST(ShortAnswer, HasNoYesRatioWithoutYesNoQuestions) {
  const std::vector<Question> questions = {question("object", "dog")};
  const std::vector<std::string> answers = {"yes"};
  const Scores scores = short_answer_task().score(questions, answers);
  EXPECT_FALSE(scores.yes_ratio.has_value());
  EXPECT_EQ(scores.yes_no_questions, 0);
}

TEST(ShortAnswer, LoadsQuestionsWithTheirTruth) {
  const auto questions =
      short_answer_task().load(std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden/eval/questions.jsonl");
  EXPECT_EQ(questions[1].answer, "no");
  EXPECT_EQ(questions[2].category, "all");
  EXPECT_EQ(short_answer_task().prompt(questions[1]), "Is there a dog?");
}

TEST(ShortAnswer, RefusesQuestionsWithoutTruth) {
  for (const char* answer : {"", ", \"answer\": \"\"", ", \"answer\": \"The.\""}) {
    const auto path =
        std::filesystem::temp_directory_path() / ("moellava_truth_" + std::to_string(::getpid()) + ".jsonl");
    std::ofstream(path) << "{\"question_id\": 1, \"text\": \"a?\"" << answer << "}\n";
    try {
      short_answer_task().load(path);
      ADD_FAILURE() << "accepted: " << answer;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(path.string() + ":1: answer: "));
    }
    std::filesystem::remove(path);
  }
}

}  // namespace
}  // namespace moellava
