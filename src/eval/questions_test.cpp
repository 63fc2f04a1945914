#include "eval/questions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kGolden = std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden/eval/";

TEST(Questions, ReadsAFileAsLlavaWritesIt) {
  const std::vector<Question> questions = read_questions(kGolden + "questions.jsonl");
  ASSERT_EQ(questions.size(), 6U);
  EXPECT_EQ(questions[0].id, Json(0));
  EXPECT_EQ(questions[0].image, "scenes/a.png");
  EXPECT_EQ(questions[0].text, "What kind of thing is it?");
  EXPECT_EQ(questions[0].category, "category");
  EXPECT_EQ(questions[0].answer, "animal");
  EXPECT_EQ(questions[2].id, Json("text-only"));
  EXPECT_EQ(questions[2].image, "");
  EXPECT_EQ(questions[2].category, "");
  EXPECT_THAT(questions[3].where, HasSubstr("questions.jsonl:5"));  // line 4 is empty
}

struct BadLine {
  std::string line;
  std::string message;
};

class BadQuestions : public testing::TestWithParam<BadLine> {};

TEST_P(BadQuestions, NameFileLineAndField) {
  const fs::path path =
      fs::temp_directory_path() / ("moellava_questions_" + std::to_string(::getpid()) + ".jsonl");
  std::ofstream(path) << "{\"question_id\": 1, \"text\": \"a?\"}\n" << GetParam().line << "\n";
  try {
    read_questions(path);
    ADD_FAILURE() << "accepted: " << GetParam().line;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith(path.string() + ":2: " + GetParam().message));
  }
  fs::remove(path);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, BadQuestions,
    testing::Values(
        BadLine{"{\"question_id\": 1, \"text\": \"a?\"", "not valid JSON"},
        BadLine{"[1, 2]", "not a JSON object"}, BadLine{"{\"text\": \"a?\"}", "question_id: missing field"},
        BadLine{"{\"question_id\": 1.5, \"text\": \"a?\"}", "question_id: wrong type"},
        BadLine{"{\"question_id\": 1}", "text: missing field"},
        BadLine{"{\"question_id\": 1, \"text\": \"\"}", "text: empty"},
        BadLine{"{\"question_id\": 1, \"text\": 7}", "text: wrong type"},
        BadLine{"{\"question_id\": 1, \"text\": \"<image>\\na?\"}", "text: holds an <image> marker"},
        BadLine{"{\"question_id\": 1, \"text\": \"a?\", \"image\": [\"a.png\"]}", "image: wrong type"},
        BadLine{"{\"question_id\": 1, \"text\": \"a?\", \"image\": \"\"}", "image: empty"},
        BadLine{"{\"question_id\": 1, \"text\": \"a?\", \"answer\": true}", "answer: wrong type"},
        BadLine{"{\"question_id\": 1, \"question_id\": 2, \"text\": \"a?\"}", "duplicate key"},
        BadLine{"{\"question_id\": 1, \"text\": \"\xff\"}", "not valid JSON"},
        BadLine{"{\"question_id\": 1, \"text\": \"" + std::string(1 << 20, 'a') + "\"}", "JSON too large"}));

TEST(Questions, RefusesAFileWithoutAny) {
  const fs::path path =
      fs::temp_directory_path() / ("moellava_no_questions_" + std::to_string(::getpid()) + ".jsonl");
  std::ofstream(path) << "\n \r\n";
  EXPECT_THROW(read_questions(path), Error);
  fs::remove(path);
  EXPECT_THROW(read_questions(path), Error);
}

}  // namespace
}  // namespace moellava
