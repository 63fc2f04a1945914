#include "eval/tasks/seed_bench.hpp"

#include <unordered_map>

#include "base/error.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr JsonLimits kLimits{.bytes = 256ull << 20, .depth = 16};

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

// Number of a type of question to its name.
std::unordered_map<int64_t, std::string> type_names(const JsonObject& file) {
  const JsonObject types = file.object("question_type");
  std::unordered_map<int64_t, std::string> names;
  for (const auto& item : types.raw().items()) names[types.integer(item.key(), 0, 1 << 20)] = item.key();
  return names;
}

struct Share {
  double right = 0, count = 0;
  double percent() const { return count > 0 ? 100 * right / count : 0; }
};

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  std::unordered_map<std::string, const Answer*> given;
  for (const Answer& answer : answers) given[id_text(answer.question_id)] = &answer;
  const Json json = read_json(input.annotations, kLimits);
  const JsonObject file(json, input.annotations.string());
  const auto names = type_names(file);
  const Json& questions = file.at("questions");
  if (!questions.is_array())
    throw bad_data(file.where() + ": questions", "wrong type", {.expected = "a list"});
  std::vector<Graded> graded;
  Share image, video;
  for (size_t i = 0; i < questions.size(); ++i) {
    const JsonObject question(questions[i], file.where() + ": questions[" + std::to_string(i) + "]");
    const std::string id = id_text(question_id(question, "question_id"));
    const auto answer = given.find(id);
    if (answer == given.end() && input.partial) continue;
    if (answer == given.end()) throw bad_data(question.where(), "has no answer");
    const auto name = names.find(question.integer("question_type_id", 0, 1 << 20));
    if (name == names.end())
      throw bad_data(question.where() + ": question_type_id", "not among question_type");
    const std::string truth = question.string("answer");
    const bool right = answer->second->text == truth;  // the letter alone, as the original has it
    Share& share = question.string("data_type") == "video" ? video : image;
    share.right += right ? 1 : 0;
    ++share.count;
    graded.push_back({.category = name->second, .truth = truth, .score = right ? 1.0 : 0.0, .id = id});
  }
  Scores scores = tally(std::move(graded));
  scores.published = published_mean("accuracy", 100 * scores.overall.accuracy(), scores.graded);
  scores.figures = {
      {.name = "kind of data",
       .figures = {
           {"image", image.percent()}, {"video", video.percent()}, {"total", scores.published->value}}}};
  return scores;
}

std::string submission(const TaskInput&, std::span<const Answer> answers) {
  std::string lines;
  for (const Answer& answer : answers)
    lines += Json{{"question_id", answer.question_id}, {"prediction", answer.text}}.dump() + "\n";
  return lines;
}

}  // namespace

const Task& seed_bench_task() {
  static constexpr Task task{
      .name = "seed_bench",
      .layout = {"seed_bench/llava-seed-bench.jsonl", "seed_bench/SEED-Bench.json", "seed_bench"},
      .scored_without_questions = true,
      .submission_suffix = ".jsonl",
      .load = load,
      .score = score,
      .submission = submission};
  return task;
}

}  // namespace moellava
