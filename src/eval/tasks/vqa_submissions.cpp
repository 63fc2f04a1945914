#include "eval/tasks/vqa_submissions.hpp"

#include <unordered_map>

#include "base/error.hpp"
#include "eval/json_lines.hpp"
#include "eval/python_json.hpp"
#include "eval/vqa_normaliser.hpp"

namespace moellava {

namespace {

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

// A later answer replaces an earlier one.
std::unordered_map<std::string, const Answer*> by_id(std::span<const Answer> answers) {
  std::unordered_map<std::string, const Answer*> map;
  for (const Answer& answer : answers) map[answer.question_id.dump()] = &answer;
  return map;
}

std::string vqav2_submission(const TaskInput& input, std::span<const Answer> answers) {
  const auto given = by_id(answers);
  std::vector<std::string> records;
  for_each_record(input.annotations, [&](const JsonObject& record) {
    const Json id = question_id(record, "question_id");
    const auto answer = given.find(id.dump());
    const std::string text = answer == given.end() ? "" : normalise_vqa_answer(answer->second->text);
    records.push_back(python_record({{"question_id", id}, {"answer", text}}));
  });
  return python_list(records);
}

std::string vizwiz_submission(const TaskInput& input, std::span<const Answer> answers) {
  const auto given = by_id(answers);
  std::vector<std::string> records;
  for (const Question& question : load(input)) {
    const auto answer = given.find(question.id.dump());
    if (answer == given.end()) {
      if (input.partial) continue;
      throw bad_data(question.where + ": question_id", "has no answer",
                     {.found = printable(question.id.dump())});
    }
    records.push_back(
        python_record({{"image", question.image}, {"answer", normalise_vqa_answer(answer->second->text)}}));
  }
  return python_list(records);
}

}  // namespace

const Task& vqav2_task() {
  static constexpr Task task{.name = "vqav2",
                             .layout = {"vqav2/llava_vqav2_mscoco_test-dev2015.jsonl",
                                        "vqav2/llava_vqav2_mscoco_test2015.jsonl", "vqav2/test2015"},
                             .skips_broken_answers = true,
                             .scored_without_questions = true,
                             .load = load,
                             .submission = vqav2_submission};
  return task;
}

const Task& vizwiz_task() {
  static constexpr Task task{.name = "vizwiz",
                             .layout = {"vizwiz/llava_test.jsonl", "", "vizwiz/test"},
                             .load = load,
                             .submission = vizwiz_submission};
  return task;
}

}  // namespace moellava
