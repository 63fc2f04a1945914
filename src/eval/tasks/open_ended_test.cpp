#include "eval/tasks/open_ended.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

TEST(MmVet, WritesWhatItsJudgeReads) {
  const std::vector<Answer> answers = {{.question_id = 10, .text = "x"}, {.question_id = 2, .text = "\"é\""}};
  EXPECT_EQ(mm_vet_task().submission({}, answers),
            "{\n  \"v1_10\": \"x\",\n  \"v1_2\": \"\\\"\\u00e9\\\"\"\n}");
}

TEST(OpenEnded, IsJudgedElsewhereAndSeesTheCentre) {
  for (const Task* task : {&llava_bench_task(), &mm_vet_task()}) {
    EXPECT_EQ(task->score, nullptr);
    EXPECT_TRUE(task->center_crop);
  }
}

}  // namespace
}  // namespace moellava
