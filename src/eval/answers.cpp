#include "eval/answers.hpp"

#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "eval/json_lines.hpp"

namespace moellava {

namespace {

Answer parse_answer(const JsonObject& record) {
  Answer answer{.question_id = question_id(record, "question_id"),
                .prompt = record.string_or("prompt", ""),
                .text = record.string("text"),
                .model_id = record.string_or("model_id", ""),
                .settings = "",
                .where = record.where()};
  if (record.has("metadata")) answer.settings = record.object("metadata").string_or("settings", "");
  return answer;
}

bool is_json(const std::string& text) {
  return Json::accept(text);
}

// One text for an id and a prompt; no id's JSON holds a line break.
std::string key_of(const Json& id, const std::string& prompt) {
  return id.dump() + "\n" + prompt;
}

bool ids_repeat(std::span<const Question> questions) {
  std::unordered_set<std::string> seen;
  for (const Question& question : questions) {
    if (!seen.insert(question.id.dump()).second) return true;
  }
  return false;
}

}  // namespace

std::vector<Answer> read_answers(const std::filesystem::path& path, bool skip_broken) {
  std::vector<Answer> answers;
  for (const TextLine& line : read_lines(path)) {
    if ((skip_broken || !line.ended) && !is_json(line.text)) continue;
    const Json json = parse_line(line);
    answers.push_back(parse_answer(JsonObject(json, line.where)));
  }
  return answers;
}

std::string recorded_prompt(const Question& question, bool marks_pictures) {
  return (marks_pictures && !question.image.empty() ? "<image>\n" : "") + question.text;
}

std::vector<const Answer*> match_answers(std::span<const Question> questions, std::span<const Answer> answers,
                                         bool marks_pictures) {
  const bool by_prompt = ids_repeat(questions);
  // The same question may be asked twice: its places, the last first.
  std::unordered_map<std::string, std::vector<size_t>> places;
  for (size_t i = questions.size(); i-- > 0;) {
    const std::string prompt = by_prompt ? recorded_prompt(questions[i], marks_pictures) : "";
    places[key_of(questions[i].id, prompt)].push_back(i);
  }
  std::vector<const Answer*> matched(questions.size(), nullptr);
  for (const Answer& answer : answers) {
    const auto place = places.find(key_of(answer.question_id, by_prompt ? answer.prompt : ""));
    if (place == places.end()) {
      throw bad_data(answer.where + ": question_id", "not among the questions",
                     {.found = printable(answer.question_id.dump()),
                      .hint = by_prompt ? "ids repeat in the question file: the prompt counts, too" : ""});
    }
    if (place->second.empty()) {
      throw bad_data(answer.where + ": question_id", "answered twice",
                     {.found = printable(answer.question_id.dump())});
    }
    matched[place->second.back()] = &answer;
    place->second.pop_back();
  }
  return matched;
}

std::vector<const Answer*> require_answers(std::span<const Question> questions,
                                           std::span<const Answer> answers, bool partial,
                                           bool marks_pictures) {
  std::vector<const Answer*> matched = match_answers(questions, answers, marks_pictures);
  for (size_t i = 0; i < matched.size() && !partial; ++i) {
    if (matched[i] == nullptr) {
      throw bad_data(questions[i].where + ": question_id", "has no answer",
                     {.found = printable(questions[i].id.dump())});
    }
  }
  return matched;
}

}  // namespace moellava
