#include "eval/tasks/short_answer.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

struct Case {
  const char* truth;
  const char* answer;
  bool correct;
};

class ShortAnswerCases : public ::testing::TestWithParam<Case> {};

TEST_P(ShortAnswerCases, AreScored) {
  const Case& c = GetParam();
  EXPECT_EQ(is_correct(c.truth, c.answer), c.correct) << "\"" << c.truth << "\" / \"" << c.answer << "\"";
}

INSTANTIATE_TEST_SUITE_P(
    Table, ShortAnswerCases,
    ::testing::Values(Case{"dog", "dog", true}, Case{"dog", "Dog", true}, Case{"dog", "dog.", true},
                      Case{"dog", "A dog", true}, Case{"dog", "the dog!", true},
                      Case{"dog", "  dog \n", true}, Case{"A dog.", "dog", true}, Case{"dog", "dogs", false},
                      Case{"dog", "dog cat", false}, Case{"dog", "hot dog", false}, Case{"dog", "", false},
                      Case{"dog", ".", false}, Case{"ice cream", "Ice  cream.", true},
                      Case{"ice cream", "ice", false}, Case{"ant", "an ant", true}, Case{"two", "two", true},
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

class ShortAnswer : public ::testing::Test {
 protected:
  // Questions of (category, truth), and their answers in the same order.
  Scores score(const std::vector<std::pair<std::string, std::string>>& truths,
               const std::vector<std::string>& texts) const {
    std::string lines;
    std::vector<Answer> answers;
    for (size_t i = 0; i < truths.size(); ++i) {
      lines +=
          Json{{"question_id", i}, {"text", "?"}, {"category", truths[i].first}, {"answer", truths[i].second}}
              .dump() +
          "\n";
      answers.push_back({.question_id = i, .text = texts[i]});
    }
    return short_answer_task().score({.questions = folder_.write("q.jsonl", lines)}, answers);
  }
  const testing::TemporaryFolder folder_;
};

TEST_F(ShortAnswer, TalliesCategoriesAndMajorities) {
  const Scores scores = score({{"presence", "yes"},
                               {"presence", "no"},
                               {"presence", "no"},
                               {"presence", "No."},
                               {"object", "dog"},
                               {"object", "cat"},
                               {"object", "a cat"}},
                              {"Yes", "yes there is", "no", "maybe", "dog", "dog", "Cat"});

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
  EXPECT_EQ(scores.overall.majority_correct, 5);
  EXPECT_EQ(scores.yes_no_questions, 4);
  EXPECT_EQ(scores.yes_no_unclear, 1);
  EXPECT_DOUBLE_EQ(scores.yes_ratio.value(), 0.5);
}

TEST_F(ShortAnswer, MajorityTiesDoNotDependOnTheOrder) {
  for (const auto& [first, second] : {std::pair{"dog", "cat"}, std::pair{"cat", "dog"}})
    EXPECT_EQ(score({{"object", first}, {"object", second}}, {"", ""}).categories[0].majority_answer, "cat");
}

TEST_F(ShortAnswer, HasNoYesRatioWithoutYesNoQuestions) {
  const Scores scores = score({{"object", "dog"}}, {"yes"});
  EXPECT_FALSE(scores.yes_ratio.has_value());
  EXPECT_EQ(scores.yes_no_questions, 0);
}

TEST_F(ShortAnswer, LoadsQuestionsWithTheirTruth) {
  const auto questions = short_answer_task().load({.questions = testing::golden("questions.jsonl")});
  EXPECT_EQ(questions[1].answer, "no");
  EXPECT_EQ(questions[2].category, "all");
  EXPECT_EQ(questions[1].text, "Is there a dog?");
}

TEST_F(ShortAnswer, RefusesQuestionsWithoutTruth) {
  for (const char* answer : {"", ", \"answer\": \"\"", ", \"answer\": \"The.\""}) {
    const auto path =
        folder_.write("q.jsonl", std::string("{\"question_id\": 1, \"text\": \"a?\"") + answer + "}\n");
    EXPECT_THAT(testing::refusal_of([&] { short_answer_task().load({.questions = path}); }),
                ::testing::StartsWith(path.string() + ":1: answer: "))
        << answer;
  }
}

}  // namespace
}  // namespace moellava
