#include "eval/tasks/vqa_validation.hpp"

#include <unordered_map>

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "eval/tally.hpp"
#include "eval/vqa_agreement.hpp"
#include "eval/vqa_normaliser.hpp"

namespace moellava {

namespace {

constexpr JsonLimits kLimits{.bytes = 1ull << 30, .depth = 16};
constexpr std::string_view kSuffix = "\nAnswer the question using a single word or phrase.";

// Calls `each` with every record of the list `key` of a file.
template <typename Each>
void for_each_in(const std::filesystem::path& path, const std::string& key, const Each& each) {
  const Json file = read_json(path, kLimits);
  const Json& list = JsonObject(file, path.string()).at(key);
  if (!list.is_array() || list.empty())
    throw bad_data(path.string() + ": " + key, "wrong type", {.expected = "a list with records"});
  for (size_t i = 0; i < list.size(); ++i)
    each(JsonObject(list[i], path.string() + ": " + key + "[" + std::to_string(i) + "]"));
}

std::vector<Question> load(const TaskInput& input) {
  std::vector<Question> questions;
  for_each_in(input.questions, "questions", [&](const JsonObject& record) {
    const int64_t image = record.integer("image_id", 0, 999'999'999'999);
    questions.push_back({.id = question_id(record, "question_id"),
                         .image = string_printf("COCO_val2014_%012lld.jpg", static_cast<long long>(image)),
                         .text = record.string("question") + std::string(kSuffix),
                         .category = "",
                         .answer = "",
                         .where = record.where()});
  });
  return questions;
}

std::vector<std::string> people_of(const JsonObject& record) {
  const Json& list = record.at("answers");
  if (!list.is_array() || list.size() != kPeople)
    throw bad_data(record.where() + ": answers", "wrong type", {.expected = "10 answers"});
  std::vector<std::string> people;
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonObject answer(list[i], record.where() + ": answers[" + std::to_string(i) + "]");
    people.push_back(normalise_vqa_answer(answer.string("answer")));
  }
  return people;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  std::unordered_map<std::string, const Answer*> given;
  for (const Answer& answer : answers) given[id_text(answer.question_id)] = &answer;
  std::vector<Graded> graded;
  for_each_in(input.annotations, "annotations", [&](const JsonObject& record) {
    const std::string id = id_text(question_id(record, "question_id"));
    const auto answer = given.find(id);
    if (answer == given.end()) {
      if (input.partial) return;
      throw bad_data(record.where() + ": question_id", "has no answer", {.found = printable(id)});
    }
    graded.push_back({.category = record.string("answer_type"),
                      .truth = "",
                      .score = vqa_agreement(normalise_vqa_answer(answer->second->text), people_of(record)),
                      .id = id,
                      .picture = record.at("image_id").dump()});
  });
  Scores scores = tally(std::move(graded));
  scores.published = published_mean("accuracy", 100 * scores.overall.accuracy(), scores.graded);
  return scores;
}

}  // namespace

const Task& vqav2_val_task() {
  static constexpr Task task{.name = "vqav2_val",
                             .layout = {"vqav2/v2_OpenEnded_mscoco_val2014_questions.json",
                                        "vqav2/v2_mscoco_val2014_annotations.json", "vqav2/val2014"},
                             .scored_without_questions = true,
                             .load = load,
                             .score = score};
  return task;
}

}  // namespace moellava
