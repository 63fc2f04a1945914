#include "eval/task.hpp"

#include "base/error.hpp"
#include "eval/tasks/gqa.hpp"
#include "eval/tasks/llava_bench.hpp"
#include "eval/tasks/mm_vet.hpp"
#include "eval/tasks/mmbench.hpp"
#include "eval/tasks/mme.hpp"
#include "eval/tasks/pope.hpp"
#include "eval/tasks/science_qa.hpp"
#include "eval/tasks/seed_bench.hpp"
#include "eval/tasks/short_answer.hpp"
#include "eval/tasks/text_vqa.hpp"
#include "eval/tasks/vqa_submissions.hpp"
#include "eval/tasks/vqa_validation.hpp"

namespace moellava {

namespace {

const std::vector<const Task*>& all_tasks() {
  static const std::vector<const Task*> tasks = {
      &short_answer_task(), &vqav2_task(),      &vqav2_val_task(),   &gqa_task(),   &vizwiz_task(),
      &science_qa_task(),   &text_vqa_task(),   &pope_task(),        &mme_task(),   &mmbench_task(),
      &mmbench_cn_task(),   &seed_bench_task(), &llava_bench_task(), &mm_vet_task()};
  return tasks;
}

}  // namespace

const Task& find_task(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Task* task : all_tasks()) {
    if (task->name == name) return *task;
    names.push_back(task->name);
  }
  const std::string near = nearest(name, names.data(), names.size());
  throw usage_error(
      "--tasks", "no such benchmark",
      {.found = "\"" + printable(name) + "\"", .hint = near.empty() ? "" : "did you mean " + near + "?"});
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Task* task : all_tasks()) names.emplace_back(task->name);
  return names;
}

}  // namespace moellava
