#include "eval/runner.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/error.hpp"
#include "eval/gif_testing.hpp"
#include "eval/prepare.hpp"
#include "eval/tasks/short_answer.hpp"
#include "generate/engine.hpp"
#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class Runner : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);  // threads cost more than they give at this size
    fs::create_directories(folder_);
    std::ofstream(folder_ / "red.gif") << testing::plain_gif('\xff', 0, 0);
    std::ofstream(folder_ / "green.gif") << testing::plain_gif(0, '\xff', 0);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Question question(const std::string& image, const std::string& text) {
    return {.id = 0, .image = image, .text = text, .category = "all", .answer = "x", .where = "q.jsonl:2"};
  }
  std::vector<std::string> run(const std::vector<Question>& questions, const RunOptions& options) const {
    return answer_questions(*model_, tokenizer_, short_answer_task(), questions, options);
  }

  const fs::path folder_ = fs::temp_directory_path() / ("moellava_runner_" + std::to_string(::getpid()));
  // Weights large enough that what a random model says depends on what it is asked.
  const std::unique_ptr<MoeLlava> model_ = testing::tiny_model(/*sparse=*/true, 2.0);
  const testing::ByteTokenizer tokenizer_;
};

TEST_F(Runner, AnswersEachQuestionAsIfItWereTheOnlyOne) {
  const std::vector<Question> questions = {
      question("red.gif", "What is it?"), question("green.gif", "What is it?"), question("", "What is it?"),
      question("red.gif", "What colour?"), question("green.gif", "How many?")};
  const std::vector<std::string> answers = run(questions, {.image_folder = folder_});
  ASSERT_EQ(answers.size(), questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    EXPECT_EQ(run({questions[i]}, {.image_folder = folder_})[0], answers[i]) << "question " << i;
  }
  EXPECT_GE(std::set<std::string>(answers.begin(), answers.end()).size(),
            3U);  // else order could not be seen
}

TEST_F(Runner, SaysWhatTheEngineSays) {
  const Question asked = question("red.gif", "What is it?");
  QuestionPictures pictures(*model_, folder_, false);
  GenerateRequest request;
  request.features = pictures.features(asked);
  request.ids = question_ids(*model_, tokenizer_, asked.text, true);
  request.max_new_tokens = 5;
  std::string expected = Engine(*model_, tokenizer_).generate(request).text;
  expected.erase(0, expected.find_first_not_of(" \t\r\n"));
  expected.erase(expected.find_last_not_of(" \t\r\n") + 1);
  EXPECT_EQ(run({asked}, {.image_folder = folder_, .max_new_tokens = 5})[0], expected);
}

TEST_F(Runner, SeesNothingWhenPicturesAreBlanked) {
  const std::vector<Question> questions = {question("red.gif", "What is it?"),
                                           question("green.gif", "What is it?")};
  const std::vector<std::string> seen = run(questions, {.image_folder = folder_});
  EXPECT_NE(seen[0], seen[1]);
  const std::vector<std::string> blanked = run(questions, {.image_folder = folder_, .blank_images = true});
  EXPECT_EQ(blanked[0], blanked[1]);
}

TEST_F(Runner, ErrorsNameTheQuestion) {
  try {
    run({question("red.gif", std::string(4000, 'w'))}, {.image_folder = folder_});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::StartsWith("q.jsonl:2: prompt: longer than the context"));
  }
}

}  // namespace
}  // namespace moellava
