#include "eval/tasks/science_qa.hpp"

#include <unordered_map>

#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/bootstrap.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr std::string_view kPictured = "picture";
constexpr std::string_view kImageMarker = "<image>";
constexpr std::string_view kSuffix = "\nAnswer with the option's letter from the given choices directly.";
constexpr JsonLimits kLimits{.bytes = 256ull << 20, .depth = 16};

bool is_option(char letter) {
  return letter >= 'A' && letter <= 'E';
}

// The human's turn without its marker, and what asks for a letter.
std::string prompt_of(const JsonObject& record) {
  const Json& turns = record.at("conversations");
  if (!turns.is_array() || turns.empty()) {
    throw bad_data(record.where() + ": conversations", "wrong type", {.expected = "a list of turns"});
  }
  std::string text = JsonObject(turns[0], record.where() + ": conversations[0]").string("value");
  for (size_t at = text.find(kImageMarker); at != std::string::npos; at = text.find(kImageMarker))
    text.erase(at, kImageMarker.size());
  const std::string_view question = trimmed(text);
  if (question.empty()) throw bad_data(record.where() + ": conversations[0]: value", "empty");
  return std::string(question) + std::string(kSuffix);
}

std::vector<Question> load(const TaskInput& input) {
  const Json file = read_json(input.questions, kLimits);
  if (!file.is_array() || file.empty())
    throw bad_data(input.questions.string(), "wrong type", {.expected = "a list of questions"});
  std::vector<Question> questions;
  for (size_t i = 0; i < file.size(); ++i) {
    const JsonObject record(file[i], input.questions.string() + ": [" + std::to_string(i) + "]");
    questions.push_back({.id = question_id(record, "id"),
                         .image = record.string_or("image", ""),
                         .text = prompt_of(record),
                         .category = "",
                         .answer = "",
                         .where = record.where()});
  }
  return questions;
}

std::unordered_map<std::string, const Answer*> by_id(std::span<const Answer> answers) {
  std::unordered_map<std::string, const Answer*> map;
  for (const Answer& answer : answers) {
    if (!answer.question_id.is_string())
      throw bad_data(answer.where + ": question_id", "wrong type", {.expected = "a string"});
    map[answer.question_id.get<std::string>()] = &answer;
  }
  return map;
}

// The right choice and how many there are.
struct Problem {
  int64_t right = 0;
  int64_t choices = 0;
};

Problem read_problem(const JsonObject& problems, const std::string& id) {
  const JsonObject problem = problems.object(id);
  const Json& choices = problem.at("choices");
  if (!choices.is_array() || choices.size() < 2 || choices.size() > 5)
    throw bad_data(problem.where() + ": choices", "wrong type", {.expected = "a list of 2 to 5"});
  const auto count = static_cast<int64_t>(choices.size());
  return {.right = problem.integer("answer", 0, count - 1), .choices = count};
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const Json problem_file = read_json(input.annotations / "problems.json", kLimits);
  const JsonObject problems(problem_file, (input.annotations / "problems.json").string());
  const Json split_file = read_json(input.annotations / "pid_splits.json", kLimits);
  const JsonObject splits(split_file, (input.annotations / "pid_splits.json").string());
  const auto given = by_id(answers);
  std::vector<Graded> graded;
  for (const Json& id : splits.at("test")) {
    if (!id.is_string()) throw bad_data(splits.where() + ": test", "wrong type", {.expected = "strings"});
    const Problem problem = read_problem(problems, id.get<std::string>());
    const auto found = given.find(id.get<std::string>());
    if (found == given.end() && input.partial) continue;
    // A question without an answer is wrong, and counts as one without a picture: so the original.
    const char choice = found == given.end() ? '\0' : science_qa_choice(found->second->text);
    const bool pictured =
        found != given.end() && found->second->prompt.find(kImageMarker) != std::string::npos;
    const bool right = choice == static_cast<char>('A' + problem.right);
    graded.push_back({.category = std::string(pictured ? kPictured : "text only"),
                      .truth = std::string(1, static_cast<char>('A' + problem.right)),
                      .score = right ? 1.0 : 0.0,
                      .id = id.get<std::string>()});
  }
  Scores scores = tally(std::move(graded));
  std::vector<Graded> pictured;
  for (const Graded& answer : scores.graded) {
    if (answer.category == kPictured) pictured.push_back(answer);
  }
  const std::vector<int32_t> once(pictured.size(), 1);
  scores.published = published_mean("IMG accuracy", mean_percent(pictured, once), pictured);
  return scores;
}

// The letters X of "The answer is X" where X is a capital and a character that is no line break follows.
std::string stated_letters(std::string_view answer) {
  constexpr std::string_view statement = "The answer is ";
  std::string letters;
  for (size_t at = answer.find(statement); at != std::string_view::npos;) {
    const std::string_view rest = answer.substr(at + statement.size());
    const bool stated = rest.size() >= 2 && rest[0] >= 'A' && rest[0] <= 'Z' && rest[1] != '\n';
    if (stated) letters += rest[0];
    at = answer.find(statement, at + statement.size());
  }
  return letters;
}

}  // namespace

char science_qa_choice(std::string_view answer) {
  if (answer.size() == 1 && is_option(answer[0])) return answer[0];
  if (answer.size() >= 3 && is_option(answer[0]) && answer.substr(1, 2) == ". ") return answer[0];
  const std::string letters = stated_letters(answer);
  return letters.size() == 1 && is_option(letters[0]) ? letters[0] : '\0';
}

const Task& science_qa_task() {
  static constexpr Task task{
      .name = "scienceqa",
      .layout = {"scienceqa/llava_test_CQM-A.json", "scienceqa", "scienceqa/images/test"},
      .center_crop = true,
      .marks_pictures = true,
      .scored_without_questions = true,
      .max_new_tokens = 1024,
      .load = load,
      .score = score};
  return task;
}

}  // namespace moellava
