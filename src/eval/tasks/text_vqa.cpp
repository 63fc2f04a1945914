#include "eval/tasks/text_vqa.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/error.hpp"
#include "eval/tally.hpp"
#include "eval/vqa_agreement.hpp"
#include "eval/vqa_normaliser.hpp"

namespace moellava {

namespace {

constexpr JsonLimits kLimits{.bytes = 256ull << 20, .depth = 16};

std::vector<Question> load(const TaskInput& input) {
  std::vector<Question> questions = read_questions(input.questions);
  for (const Question& question : questions) text_vqa_question(question.text, question.where + ": text");
  return questions;
}

using Annotations = std::unordered_map<std::string, std::vector<std::string>>;

std::string key_of(const std::string& image_id, const std::string& question) {
  return image_id + "\n" + question;
}

std::vector<std::string> human_answers(const JsonObject& record) {
  const Json& list = record.at("answers");
  const bool strings = list.is_array() && std::all_of(list.begin(), list.end(),
                                                      [](const Json& item) { return item.is_string(); });
  if (!strings || list.size() != kPeople)
    throw bad_data(record.where() + ": answers", "wrong type", {.expected = "10 strings"});
  std::vector<std::string> answers;
  for (const Json& item : list) answers.push_back(normalise_vqa_answer(item.get<std::string>()));
  return answers;
}

// (picture, question) to ten normalised answers.
Annotations read_annotations(const std::filesystem::path& path) {
  const Json file = read_json(path, kLimits);
  const Json& data = JsonObject(file, path.string()).at("data");
  if (!data.is_array()) throw bad_data(path.string() + ": data", "wrong type", {.expected = "a list"});
  Annotations annotations;
  for (size_t i = 0; i < data.size(); ++i) {
    const JsonObject record(data[i], path.string() + ": data[" + std::to_string(i) + "]");
    annotations[key_of(record.string("image_id"), unicode_lower_case(record.string("question")))] =
        human_answers(record);
  }
  return annotations;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const Annotations annotations = read_annotations(input.annotations);
  std::vector<Graded> graded;
  for (const Answer& answer : answers) {
    if (!answer.question_id.is_string())
      throw bad_data(answer.where + ": question_id", "wrong type", {.expected = "a string"});
    const std::string question = text_vqa_question(answer.prompt, answer.where + ": prompt");
    const auto humans = annotations.find(key_of(answer.question_id.get<std::string>(), question));
    if (humans == annotations.end()) {
      throw bad_data(answer.where, "a question without human answers",
                     {.found = "\"" + printable(question) + "\"", .hint = input.annotations.string()});
    }
    graded.push_back({.category = "all",
                      .truth = "",
                      .score = vqa_agreement(normalise_vqa_answer(answer.text), humans->second),
                      .id = answer.question_id.get<std::string>() + ": " + question,
                      .picture = answer.question_id.get<std::string>()});
  }
  if (graded.size() < annotations.size() && !input.partial) {
    throw bad_data(input.annotations.string(), "not every question is answered",
                   {.found = std::to_string(graded.size()) + " answers",
                    .expected = std::to_string(annotations.size())});
  }
  Scores scores = tally(std::move(graded));
  scores.published = published_mean("accuracy", 100 * scores.overall.accuracy(), scores.graded);
  return scores;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (;;) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string text_vqa_question(std::string_view prompt, const std::string& where) {
  constexpr std::string_view before = "Question: ", behind = " Short answer:";
  const std::vector<std::string_view> lines = lines_of(prompt);
  if (prompt.starts_with("OCR tokens: ")) {
    const size_t begin = prompt.find(before);
    const size_t end = begin == std::string_view::npos ? begin : prompt.find(behind, begin + before.size());
    if (end != std::string_view::npos) {
      const size_t first = begin + before.size();
      return unicode_lower_case(prompt.substr(first, end - first));
    }
  } else if (lines.size() == 3 && prompt.find("Reference OCR token: ") != std::string_view::npos) {
    return unicode_lower_case(lines[prompt.starts_with("Reference OCR token:") ? 1 : 0]);
  } else if (lines.size() == 2) {
    return unicode_lower_case(lines[0]);
  }
  throw bad_data(where, "not a TextVQA prompt",
                 {.expected = "the question, a line of OCR tokens or none, and what asks for few words"});
}

const Task& text_vqa_task() {
  static constexpr Task task{.name = "textvqa",
                             .layout = {"textvqa/llava_textvqa_val_v051_ocr.jsonl",
                                        "textvqa/TextVQA_0.5.1_val.json", "textvqa/train_images"},
                             .scored_without_questions = true,
                             .load = load,
                             .score = score};
  return task;
}

}  // namespace moellava
