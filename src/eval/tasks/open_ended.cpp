#include "eval/tasks/open_ended.hpp"

#include <nlohmann/json.hpp>

namespace moellava {

namespace {

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

std::string mm_vet_submission(const TaskInput&, std::span<const Answer> answers) {
  nlohmann::ordered_json results = nlohmann::ordered_json::object();
  for (const Answer& answer : answers) {
    const std::string id =
        answer.question_id.is_string() ? answer.question_id.get<std::string>() : answer.question_id.dump();
    results["v1_" + id] = answer.text;
  }
  return results.dump(2, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

const Task& llava_bench_task() {
  static constexpr Task task{
      .name = "llava_bench",
      .layout = {"llava-bench-in-the-wild/questions.jsonl", "", "llava-bench-in-the-wild/images"},
      .center_crop = true,
      .max_new_tokens = 1024,
      .load = load};
  return task;
}

const Task& mm_vet_task() {
  static constexpr Task task{.name = "mm_vet",
                             .layout = {"mm-vet/llava-mm-vet.jsonl", "", "mm-vet/images"},
                             .center_crop = true,
                             .scored_without_questions = true,
                             .max_new_tokens = 1024,
                             .load = load,
                             .submission = mm_vet_submission};
  return task;
}

}  // namespace moellava
