#include "eval/tasks/gqa.hpp"

#include <gmock/gmock.h>

#include "base/string_printf.hpp"
#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const TaskInput kGolden{.questions = testing::golden("gqa/testdev_balanced_questions.json")};

std::vector<Answer> golden_answers() {
  return read_answers(testing::golden("gqa/merge.jsonl"));
}

TEST(Gqa, ScoresAsTheOfficialScriptPrints) {
  const Scores scores = gqa_task().score(kGolden, golden_answers());
  const auto printed = read_json(testing::golden("gqa/expected.json")).at("stdout").get<std::string>();
  for (const auto& [name, label] : {std::pair{"binary", "Binary: %.2f%%\n"},
                                    {"open", "Open: %.2f%%\n"},
                                    {"accuracy", "Accuracy: %.2f%%\n"},
                                    {"distribution", "Distribution: %.2f "}}) {
    char line[64];
    std::snprintf(line, sizeof line, label, testing::figure(scores, "overview", name));
    EXPECT_THAT(printed, HasSubstr(line));
  }
  for (const FigureGroup& group : std::span(scores.figures).subspan(1)) {
    const size_t at = printed.find("Accuracy / " + group.name + ":\n");
    ASSERT_NE(at, std::string::npos) << group.name;
    size_t line = printed.find('\n', at) + 1;
    for (const Figure& figure : group.figures) {  // in the same order
      const std::string expected = string_printf("  %s: %.2f%% (", figure.name.c_str(), figure.value);
      EXPECT_EQ(printed.substr(line, expected.size()), expected) << group.name;
      line = printed.find('\n', line) + 1;
    }
    EXPECT_TRUE(line == printed.size() || printed[line] == '\n') << group.name << " has more";
  }
}

TEST(Gqa, ConvertsAsTheOriginalDoes) {
  EXPECT_EQ(gqa_task().submission(kGolden, golden_answers()),
            read_file(testing::golden("gqa/testdev_balanced_predictions.json"), 1 << 20));
  EXPECT_EQ(gqa_prediction("ÉCOLE... "), "école... ");
}

TEST(Gqa, AsksWhatLlavasFileAsks) {
  const std::vector<Question> questions = gqa_task().load(kGolden);
  ASSERT_EQ(questions.size(), 20U);  // of 24, the balanced ones
  EXPECT_EQ(questions[0].id, "0000");
  EXPECT_EQ(questions[0].image, "1.jpg");
  EXPECT_EQ(questions[0].text, "w w w w w w w?\nAnswer the question using a single word or phrase.");
}

TEST(Gqa, NumbersAreSortedBySize) {
  const testing::TemporaryFolder folder;
  Json file;
  for (const size_t words : {2, 10}) {
    std::string question;
    for (size_t i = 0; i < words; ++i) question += "w ";
    file[std::to_string(words)] = {{"question", question},
                                   {"answer", "yes"},
                                   {"imageId", "1"},
                                   {"groups", {{"global", nullptr}}},
                                   {"types", {{"structural", "verify"}, {"semantic", "obj"}}},
                                   {"semantic", Json::array()}};
  }
  const TaskInput input{.questions = folder.write("q.json", file.dump())};
  const std::vector<Answer> answers = {{.question_id = "2", .text = "Yes."},
                                       {.question_id = "10", .text = "no"}};
  const Scores scores = gqa_task().score(input, answers);
  EXPECT_EQ(scores.figures[4].figures[0].name, "2");
  EXPECT_EQ(scores.figures[4].figures[1].name, "10");
  EXPECT_THAT(testing::refusal_of([&] { gqa_task().score(input, std::span(answers).first(1)); }),
              HasSubstr("q.json: 10: has no answer"));
  file["2"].erase("types");
  folder.write("q.json", file.dump());
  EXPECT_THAT(testing::refusal_of([&] { gqa_task().score(input, answers); }),
              HasSubstr("q.json: 2: types: missing"));
}

}  // namespace
}  // namespace moellava
