#include "eval/tasks/pope.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/json_lines.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr std::array<std::string_view, 3> kCategories = {"random", "popular", "adversarial"};

std::vector<Question> load(const TaskInput& input) {
  std::vector<Question> questions = read_questions(input.questions);
  for (const Question& question : questions) {
    if (std::find(kCategories.begin(), kCategories.end(), question.category) == kCategories.end()) {
      throw bad_data(question.where + ": category", "unknown",
                     {.found = "\"" + printable(question.category) + "\"",
                      .expected = "random, popular or adversarial"});
    }
  }
  return questions;
}

// Whether each label of the category is yes.
std::vector<bool> read_labels(const std::filesystem::path& file) {
  std::vector<bool> labels;
  for_each_record(file, [&](const JsonObject& record) {
    const std::string label = record.string("label");
    if (label != "yes" && label != "no") {
      throw bad_data(record.where() + ": label", "neither yes nor no",
                     {.found = "\"" + printable(label) + "\""});
    }
    labels.push_back(label == "yes");
  });
  return labels;
}

// The answers of each category in the order of the answer file, as the labels are matched by order.
std::unordered_map<std::string, std::vector<const Answer*>> by_category(const TaskInput& input,
                                                                        std::span<const Answer> answers) {
  std::unordered_map<std::string, std::string> category_of;
  for (const Question& question : load(input)) category_of[question.id.dump()] = question.category;
  std::unordered_map<std::string, std::vector<const Answer*>> groups;
  for (const Answer& answer : answers) {
    const auto category = category_of.find(answer.question_id.dump());
    if (category == category_of.end()) {
      throw bad_data(answer.where + ": question_id", "not among the questions",
                     {.found = printable(answer.question_id.dump())});
    }
    groups[category->second].push_back(&answer);
  }
  return groups;
}

// Counts.
struct Confusion {
  double true_yes = 0, false_yes = 0, true_no = 0, false_no = 0;
  double unclear = 0;  // answers that begin with neither word
  double exact = 0;    // answers that are the true word and nothing else
};

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0.0;
}

double f1_of(const Confusion& c) {
  const double precision = ratio(c.true_yes, c.true_yes + c.false_yes);
  const double recall = ratio(c.true_yes, c.true_yes + c.false_no);
  return ratio(2 * precision * recall, precision + recall);
}

FigureGroup figures_of(const std::string& category, const Confusion& c) {
  const double samples = c.true_yes + c.false_yes + c.true_no + c.false_no;
  return {.name = category,
          .figures = {{"samples", samples},
                      {"TP", c.true_yes},
                      {"FP", c.false_yes},
                      {"TN", c.true_no},
                      {"FN", c.false_no},
                      {"accuracy", ratio(c.true_yes + c.true_no, samples)},
                      {"precision", ratio(c.true_yes, c.true_yes + c.false_yes)},
                      {"recall", ratio(c.true_yes, c.true_yes + c.false_no)},
                      {"f1", f1_of(c)},
                      {"yes_ratio", ratio(c.true_yes + c.false_yes, samples)},
                      {"unclear", ratio(c.unclear, samples)},
                      {"exact_accuracy", ratio(c.exact, samples)}}};
}

Confusion confusion_of(const std::vector<const Answer*>& answers, const std::vector<bool>& labels) {
  Confusion c;
  for (size_t i = 0; i < answers.size(); ++i) {
    const bool yes = !pope_says_no(answers[i]->text);
    ++(labels[i] ? (yes ? c.true_yes : c.false_no) : (yes ? c.false_yes : c.true_no));
    const std::string word = first_word(answers[i]->text);
    c.exact += lower_case(trimmed(answers[i]->text)) == (labels[i] ? "yes" : "no") ? 1 : 0;
    c.unclear += word != "yes" && word != "no" ? 1 : 0;
  }
  return c;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const auto groups = by_category(input, answers);
  std::vector<Graded> graded;
  std::vector<FigureGroup> figures;
  double f1 = 0, yes = 0, unclear = 0;
  for (const std::string_view name : kCategories) {
    const std::string category(name);
    const auto group = groups.find(category);
    if (group == groups.end()) continue;
    const std::filesystem::path file = input.annotations / ("coco_pope_" + category + ".json");
    const std::vector<bool> labels = read_labels(file);
    const size_t count = group->second.size();
    if (count > labels.size() || (count < labels.size() && !input.partial)) {
      throw bad_data(file.string(), "not a label for each answer",
                     {.found = std::to_string(labels.size()) + " labels", .expected = std::to_string(count)});
    }
    for (size_t i = 0; i < count; ++i) {
      const bool right = pope_says_no(group->second[i]->text) != labels[i];
      graded.push_back({category, labels[i] ? "yes" : "no", right ? 1.0 : 0.0});
    }
    const Confusion c = confusion_of(group->second, labels);
    yes += c.true_yes + c.false_yes;
    unclear += c.unclear;
    figures.push_back(figures_of(category, c));
    f1 += f1_of(c);
  }
  Scores scores = tally(graded);
  scores.yes_no_questions = scores.overall.questions;
  scores.yes_no_unclear = static_cast<int64_t>(unclear);
  scores.yes_ratio = ratio(yes, static_cast<double>(graded.size()));
  scores.published = Figure{"mean F1", figures.empty() ? 0 : 100 * f1 / static_cast<double>(figures.size())};
  scores.figures = std::move(figures);
  return scores;
}

}  // namespace

bool pope_says_no(std::string_view answer) {
  std::string sentence;
  for (const char c : answer.substr(0, answer.find('.'))) {
    if (c != ',') sentence += c;
  }
  for (size_t begin = 0; begin <= sentence.size();) {
    const size_t end = std::min(sentence.find(' ', begin), sentence.size());
    const std::string_view word = std::string_view(sentence).substr(begin, end - begin);
    if (word == "No" || word == "no" || word == "not") return true;
    begin = end + 1;
  }
  return false;
}

const Task& pope_task() {
  static constexpr Task task{.name = "pope",
                             .layout = {"pope/llava_pope_test.jsonl", "pope/coco", "pope/val2014"},
                             .load = load,
                             .score = score};
  return task;
}

}  // namespace moellava
