#include "eval/tasks/short_answer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";
constexpr std::string_view kTrailingPunctuation = ".,!?;:\"'`)";

bool is_article(std::string_view word) {
  return word == "a" || word == "an" || word == "the";
}

bool is_yes_or_no(std::string_view normalised) {
  return normalised == "yes" || normalised == "no";
}

std::vector<Question> load(const TaskInput& input) {
  std::vector<Question> questions = read_questions(input.questions);
  for (Question& question : questions) {
    if (normalise_answer(question.answer).empty()) {
      throw bad_data(question.where + ": answer", question.answer.empty() ? "missing field" : "says nothing",
                     {.expected = "the true answer in a few words"});
    }
    if (question.category.empty()) question.category = "all";
  }
  return questions;
}

void count_yes(Scores& scores, std::span<const Question> questions, std::span<const Answer* const> answers) {
  int64_t yes = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (answers[i] == nullptr || !is_yes_or_no(normalise_answer(questions[i].answer))) continue;
    ++scores.yes_no_questions;
    const std::string word = first_word(answers[i]->text);
    yes += word == "yes";
    scores.yes_no_unclear += !is_yes_or_no(word);
  }
  if (scores.yes_no_questions > 0)
    scores.yes_ratio = static_cast<double>(yes) / static_cast<double>(scores.yes_no_questions);
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const std::vector<Question> questions = load(input);
  const std::vector<const Answer*> matched = require_answers(questions, answers, input.partial);
  std::vector<Graded> graded;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (matched[i] == nullptr) continue;
    graded.push_back({.category = questions[i].category,
                      .truth = normalise_answer(questions[i].answer),
                      .score = is_correct(questions[i].answer, matched[i]->text) ? 1.0 : 0.0,
                      .id = id_text(questions[i].id),
                      .picture = questions[i].image});
  }
  Scores scores = tally(std::move(graded));
  count_yes(scores, questions, matched);
  return scores;
}

}  // namespace

std::string normalise_answer(std::string_view text) {
  const std::string lower = lower_case(text);
  const size_t last = lower.find_last_not_of(std::string(kSpace) + std::string(kTrailingPunctuation));
  const std::string_view body = std::string_view(lower).substr(0, last == std::string::npos ? 0 : last + 1);
  std::string words;
  for (size_t begin = body.find_first_not_of(kSpace); begin < body.size();) {
    const size_t end = std::min(body.find_first_of(kSpace, begin), body.size());
    const std::string_view word = body.substr(begin, end - begin);
    if (!is_article(word)) words.append(words.empty() ? "" : " ").append(word);
    begin = body.find_first_not_of(kSpace, end);
  }
  return words;
}

bool is_correct(std::string_view truth, std::string_view answer) {
  const std::string expected = normalise_answer(truth);
  if (is_yes_or_no(expected)) return first_word(answer) == expected;
  return normalise_answer(answer) == expected;
}

const Task& short_answer_task() {
  static constexpr Task task{
      .name = "short_answer", .layout = {}, .max_new_tokens = 12, .load = load, .score = score};
  return task;
}

}  // namespace moellava
