#include "eval/tasks/mm_vet.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "eval/answer_text.hpp"
#include "eval/bootstrap.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr std::string_view kInstruction =
    "Say how right a prediction is, by the ground truth: from 0.0 (not at all) to 1.0 (wholly) in steps of "
    "0.1. <AND> "
    "stands between elements that must all be in the prediction, each of which has its share of the score; "
    "<OR> "
    "between those of which one is enough. Reply with the number alone that is missing at the end of the "
    "table.\n\n"
    "Question | Ground truth | Prediction | Correctness\n"
    "--- | --- | --- | ---\n"
    "Which animals are there? | cat <AND> dog | a cat and a bird | 0.5\n"
    "Which animals are there? | cat <AND> dog | A dog beside a cat. | 1.0\n"
    "What is it? | car <OR> taxi | a bicycle | 0.0\n"
    "What is it? | car <OR> taxi | a yellow taxi | 1.0";

std::string key_of(const Json& id) {
  const std::string text = id_text(id);
  return text.starts_with("v1_") ? text : "v1_" + text;
}

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

std::string submission(const TaskInput&, std::span<const Answer> answers) {
  nlohmann::ordered_json results = nlohmann::ordered_json::object();
  for (const Answer& answer : answers) results[key_of(answer.question_id)] = answer.text;
  return results.dump(2, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<JudgeRequest> judge_requests(const TaskInput& input, std::span<const Answer> answers,
                                         const std::string& instruction) {
  const Json file = read_json(input.annotations);
  const JsonObject truth(file, input.annotations.string());
  std::vector<JudgeRequest> requests;
  for (const Answer& answer : answers) {
    const JsonObject entry = truth.object(key_of(answer.question_id));
    const std::string right =
        replace_all(replace_all(entry.string("answer"), "<AND>", " <AND> "), "<OR>", " <OR> ");
    requests.push_back(
        {.id = id_text(answer.question_id),
         .prompt = {.system = "",
                    .user = (instruction.empty() ? std::string(kInstruction) : instruction) + "\n" +
                            entry.string("question") + " | " + right + " | " + answer.text + " | ",
                    .temperature = 0,
                    .max_tokens = 3}});
  }
  return requests;
}

bool understands(std::string_view verdict) {
  return mm_vet_score(verdict).has_value();
}

std::vector<std::string> abilities_of(const JsonObject& entry) {
  const Json& list = entry.at("capability");
  std::vector<std::string> abilities;
  if (!list.is_array()) throw bad_data(entry.where() + ": capability", "wrong type", {.expected = "strings"});
  for (const Json& ability : list) {
    if (!ability.is_string())
      throw bad_data(entry.where() + ": capability", "wrong type", {.expected = "strings"});
    abilities.push_back(ability);
  }
  return abilities;
}

// A verdict without a score is worth 0, as in the original, and counted.
Scores score_judged(const TaskInput& input, std::span<const Answer> answers,
                    std::span<const std::string> verdicts) {
  const Json file = read_json(input.annotations);
  const JsonObject truth(file, input.annotations.string());
  std::vector<Graded> graded;
  std::map<std::string, std::vector<Graded>> by_ability;
  double unjudged = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string key = key_of(answers[i].question_id);
    const std::vector<std::string> abilities = abilities_of(truth.object(key));
    const std::optional<double> score = mm_vet_score(verdicts[i]);
    unjudged += score ? 0 : 1;
    graded.push_back({.category = joined(abilities), .truth = "", .score = score.value_or(0), .id = key});
    for (const std::string& ability : abilities) by_ability[ability].push_back(graded.back());
  }
  if (std::ssize(answers) < std::ssize(file) && !input.partial) {
    throw bad_data(
        input.annotations.string(), "not every question is answered",
        {.found = std::to_string(answers.size()) + " answers", .expected = std::to_string(file.size())});
  }
  Scores scores = tally(std::move(graded));
  scores.published = bootstrapped("score", scores.graded, mean_percent);
  FigureGroup abilities{.name = "ability", .figures = {}};
  for (const auto& [ability, group] : by_ability)
    abilities.figures.push_back({ability, mean_percent(group, std::vector<int32_t>(group.size(), 1))});
  scores.figures = {std::move(abilities), {.name = "judge", .figures = {{"unjudged", unjudged}}}};
  return scores;
}

}  // namespace

std::optional<double> mm_vet_score(std::string_view verdict) {
  const std::string_view text = trimmed(verdict);
  const std::optional<std::vector<double>> first = numbers_of(text.substr(0, text.find_first_of(" \n\t")));
  if (!first || first->size() != 1 || (*first)[0] < 0 || (*first)[0] > 1) return std::nullopt;
  return (*first)[0];
}

const Task& mm_vet_task() {
  static constexpr Task task{.name = "mm_vet",
                             .layout = {"mm-vet/llava-mm-vet.jsonl", "mm-vet/mm-vet.json", "mm-vet/images"},
                             .center_crop = true,
                             .scored_without_questions = true,
                             .max_new_tokens = 1024,
                             .load = load,
                             .judge_requests = judge_requests,
                             .understands = understands,
                             .score_judged = score_judged,
                             .submission = submission};
  return task;
}

}  // namespace moellava
