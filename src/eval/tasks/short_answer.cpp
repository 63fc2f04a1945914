#include "eval/tasks/short_answer.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"

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

// The letters an answer begins with: "yes" of "Yes, there is one."
std::string first_word(std::string_view text) {
  std::string word;
  for (char c : text.substr(std::min(text.find_first_not_of(kSpace), text.size()))) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !(c >= 'a' && c <= 'z')) break;
    word += static_cast<char>(upper ? c - 'A' + 'a' : c);
  }
  return word;
}

std::vector<Question> load(const std::filesystem::path& file) {
  std::vector<Question> questions = read_questions(file);
  for (Question& question : questions) {
    if (normalise_answer(question.answer).empty()) {
      throw bad_data(question.where + ": answer", question.answer.empty() ? "missing field" : "says nothing",
                     {.expected = "the true answer in a few words"});
    }
    if (question.category.empty()) question.category = "all";
  }
  return questions;
}

std::string prompt(const Question& question) {
  return question.text;
}

Tally tally_category(const std::string& category, std::span<const Question> questions,
                     std::span<const std::string> answers) {
  Tally tally{.category = category, .majority_answer = ""};
  std::map<std::string, int64_t> truths;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].category != category) continue;
    ++tally.questions;
    tally.correct += is_correct(questions[i].answer, answers[i]);
    const std::string truth = normalise_answer(questions[i].answer);
    const int64_t count = ++truths[truth];
    if (count > tally.majority_correct ||
        (count == tally.majority_correct && truth < tally.majority_answer)) {
      tally.majority_correct = count;
      tally.majority_answer = truth;
    }
  }
  return tally;
}

void count_yes(Scores& scores, std::span<const Question> questions, std::span<const std::string> answers) {
  int64_t yes = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (!is_yes_or_no(normalise_answer(questions[i].answer))) continue;
    ++scores.yes_no_questions;
    const std::string word = first_word(answers[i]);
    yes += word == "yes";
    scores.yes_no_unclear += !is_yes_or_no(word);
  }
  if (scores.yes_no_questions > 0)
    scores.yes_ratio = static_cast<double>(yes) / static_cast<double>(scores.yes_no_questions);
}

Scores score(std::span<const Question> questions, std::span<const std::string> answers) {
  std::vector<std::string> categories;
  for (const Question& question : questions) categories.push_back(question.category);
  std::sort(categories.begin(), categories.end());
  categories.erase(std::unique(categories.begin(), categories.end()), categories.end());

  Scores scores;
  scores.overall.category = "overall";
  for (const std::string& category : categories) {
    const Tally& tally = scores.categories.emplace_back(tally_category(category, questions, answers));
    scores.overall.questions += tally.questions;
    scores.overall.correct += tally.correct;
    scores.overall.majority_correct += tally.majority_correct;
  }
  count_yes(scores, questions, answers);
  return scores;
}

}  // namespace

std::string normalise_answer(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
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
  static constexpr Task task{.name = "short_answer", .load = load, .prompt = prompt, .score = score};
  return task;
}

}  // namespace moellava
