#include "eval/runner.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "eval/gif_testing.hpp"
#include "eval/prepare.hpp"
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

  static Question question(const std::string& image, const std::string& text, int64_t id = 0) {
    return {.id = id, .image = image, .text = text, .category = "all", .answer = "x", .where = "q.jsonl:2"};
  }
  std::vector<std::string> run(const std::vector<Question>& questions, const RunOptions& options) const {
    AnswerLog log({}, task_, questions, "tiny", "");
    answer_questions(*model_, tokenizer_, task_, questions, options, log);
    std::vector<std::string> texts;
    for (const Answer& answer : log.answers()) texts.push_back(answer.text);
    return texts;
  }

  const fs::path folder_ = fs::temp_directory_path() / ("moellava_runner_" + std::to_string(::getpid()));
  // Weights large enough that what a random model says depends on what it is asked.
  const std::unique_ptr<MoeLlava> model_ = testing::tiny_model(/*sparse=*/true, 2.0);
  const testing::ByteTokenizer tokenizer_;
  const Task& task_ = find_task("short_answer");
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

TEST_F(Runner, AnswersInBatchesAsOneByOne) {
  std::vector<Question> questions;
  for (int64_t i = 0; i < 11; ++i) {
    const std::string image = i % 4 == 3 ? "" : (i % 2 == 0 ? "red.gif" : "green.gif");
    questions.push_back(question(image, "Is it number " + std::to_string(i * i) + "?", i));
  }
  const std::vector<std::string> alone = run(questions, {.image_folder = folder_});
  for (const size_t size : {2, 4, 16}) {
    EXPECT_EQ(run(questions, {.image_folder = folder_, .batch_size = size}), alone) << size;
  }
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

TEST_F(Runner, AsksOnlyWhatIsNotAnsweredYet) {
  const std::vector<Question> questions = {question("red.gif", "What?", 1), question("", "Why?", 2),
                                           question("red.gif", "How many?", 3)};
  const fs::path path = folder_ / "answers.jsonl";
  const RunOptions options{.image_folder = folder_};
  AnswerLog whole(path, task_, questions, "tiny", "");
  const RunCost cost = answer_questions(*model_, tokenizer_, task_, questions, options, whole);
  EXPECT_EQ(cost.questions, 3);
  EXPECT_EQ(cost.images, 2);
  EXPECT_GT(cost.seconds, 0);
  const std::string expected = read_file(path, 1 << 20);
  write_file_atomic(path, expected.substr(0, expected.find('\n') + 20));  // one answer, and one cut off
  AnswerLog rest(path, task_, questions, "tiny", "");
  EXPECT_EQ(answer_questions(*model_, tokenizer_, task_, questions, options, rest).questions, 2);
  EXPECT_EQ(read_file(path, 1 << 20), expected);
}

TEST_F(Runner, GoesOnWithinABatch) {
  const std::vector<Question> questions = {question("red.gif", "What?", 1), question("green.gif", "Why?", 2),
                                           question("red.gif", "How many?", 3), question("", "Where?", 4)};
  const fs::path path = folder_ / "answers.jsonl";
  const RunOptions options{.image_folder = folder_, .batch_size = 3};
  AnswerLog whole(path, task_, questions, "tiny", "");
  answer_questions(*model_, tokenizer_, task_, questions, options, whole);
  const std::string expected = read_file(path, 1 << 20);
  write_file_atomic(path, expected.substr(expected.find('\n') + 1));  // without the first of the first batch
  AnswerLog rest(path, task_, questions, "tiny", "");
  const RunCost cost = answer_questions(*model_, tokenizer_, task_, questions, options, rest);
  EXPECT_EQ(cost.questions, 1);
  EXPECT_EQ(cost.images, 1);
  EXPECT_EQ(read_file(path, 1 << 20), expected);
}

TEST_F(Runner, CropsWhereTheBenchmarkDoes) {
  // Red to the left only: the centre has it elsewhere than the padded whole.
  std::ofstream(folder_ / "wide.gif") << testing::wide_gif();
  const Question wide = question("wide.gif", "What is it?");
  QuestionPictures padded(*model_, folder_, false), cropped(*model_, folder_, false, /*center_crop=*/true);
  EXPECT_FALSE(padded.features(wide).equal(cropped.features(wide)));
  const Question square = question("red.gif", "What is it?");
  EXPECT_TRUE(padded.features(square).equal(cropped.features(square)));
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
