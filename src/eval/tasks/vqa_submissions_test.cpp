#include "eval/tasks/vqa_submissions.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

TEST(VqaV2, ConvertsAsTheOriginalDoes) {
  const TaskInput input{.questions = {},
                        .annotations = testing::golden("vqav2/llava_vqav2_mscoco_test2015.jsonl")};
  const std::vector<Answer> answers = read_answers(testing::golden("vqav2/answers/test-dev/ck/merge.jsonl"),
                                                   vqav2_task().skips_broken_answers);
  EXPECT_EQ(answers.size(), 30U);
  EXPECT_EQ(vqav2_task().submission(input, answers),
            read_file(testing::golden("vqav2/answers_upload/test-dev/ck.json"), 1 << 20));
}

TEST(VizWiz, ListsPicturesAndAnswers) {
  const testing::TemporaryFolder folder;
  TaskInput input{.questions = folder.write("q.jsonl",
                                            "{\"question_id\": 0, \"image\": \"a.jpg\", \"text\": \"?\"}\n"
                                            "{\"question_id\": 1, \"image\": \"b.jpg\", \"text\": \"?\"}\n")};
  const std::vector<Answer> answers = {{.question_id = 1, .text = "Two cafés."},
                                       {.question_id = 0, .text = "unanswerable"}};
  EXPECT_EQ(vizwiz_task().submission(input, answers),
            "[{\"image\": \"a.jpg\", \"answer\": \"unanswerable\"}, "
            "{\"image\": \"b.jpg\", \"answer\": \"2 caf\\u00e9s\"}]");
  EXPECT_THAT(testing::refusal_of([&] { vizwiz_task().submission(input, std::span(answers).first(1)); }),
              ::testing::HasSubstr("q.jsonl:1: question_id: has no answer: found 0"));
  input.partial = true;
  EXPECT_EQ(vizwiz_task().submission(input, std::span(answers).last(1)),
            "[{\"image\": \"a.jpg\", \"answer\": \"unanswerable\"}]");
}

}  // namespace
}  // namespace moellava
