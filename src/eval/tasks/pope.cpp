#include "eval/tasks/pope.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/bootstrap.hpp"
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

struct Asked {
  const Answer* answer;
  std::string picture;
};

// The answers of each category in the order of the answer file, as the labels are matched by order.
std::unordered_map<std::string, std::vector<Asked>> by_category(const TaskInput& input,
                                                                std::span<const Answer> answers) {
  const std::vector<Question> questions = load(input);
  std::unordered_map<std::string, const Question*> by_id;
  for (const Question& question : questions) by_id[question.id.dump()] = &question;
  std::unordered_map<std::string, std::vector<Asked>> groups;
  for (const Answer& answer : answers) {
    const auto question = by_id.find(answer.question_id.dump());
    if (question == by_id.end()) {
      throw bad_data(answer.where + ": question_id", "not among the questions",
                     {.found = printable(answer.question_id.dump())});
    }
    groups[question->second->category].push_back({&answer, question->second->image});
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

// Of the categories that there are. An answer is taken for yes when that is true and right or not true and
// wrong.
double mean_f1(std::span<const Graded> graded, std::span<const int32_t> times) {
  std::array<Confusion, kCategories.size()> confusions;
  std::array<bool, kCategories.size()> present{};
  for (size_t i = 0; i < graded.size(); ++i) {
    const auto place = static_cast<size_t>(
        std::find(kCategories.begin(), kCategories.end(), graded[i].category) - kCategories.begin());
    Confusion& c = confusions[place];
    present[place] = true;
    const bool truth = graded[i].truth == "yes", right = graded[i].score == 1;
    (truth ? (right ? c.true_yes : c.false_no) : (right ? c.true_no : c.false_yes)) += times[i];
  }
  double sum = 0, count = 0;
  for (size_t i = 0; i < kCategories.size(); ++i) {
    if (!present[i]) continue;
    sum += f1_of(confusions[i]);
    ++count;
  }
  return count > 0 ? 100 * sum / count : 0;
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

Confusion confusion_of(const std::vector<Asked>& asked, const std::vector<bool>& labels) {
  Confusion c;
  for (size_t i = 0; i < asked.size(); ++i) {
    const std::string& text = asked[i].answer->text;
    const bool yes = !pope_says_no(text);
    ++(labels[i] ? (yes ? c.true_yes : c.false_no) : (yes ? c.false_yes : c.true_no));
    const std::string word = first_word(text);
    c.exact += lower_case(trimmed(text)) == (labels[i] ? "yes" : "no") ? 1 : 0;
    c.unclear += word != "yes" && word != "no" ? 1 : 0;
  }
  return c;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const auto groups = by_category(input, answers);
  std::vector<Graded> graded;
  std::vector<FigureGroup> figures;
  double yes = 0, unclear = 0;
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
      const auto& [answer, picture] = group->second[i];
      const bool right = pope_says_no(answer->text) != labels[i];
      graded.push_back({.category = category,
                        .truth = labels[i] ? "yes" : "no",
                        .score = right ? 1.0 : 0.0,
                        .id = id_text(answer->question_id),
                        .picture = picture});
    }
    const Confusion c = confusion_of(group->second, labels);
    yes += c.true_yes + c.false_yes;
    unclear += c.unclear;
    figures.push_back(figures_of(category, c));
  }
  Scores scores = tally(std::move(graded));
  scores.yes_no_questions = scores.overall.questions;
  scores.yes_no_unclear = static_cast<int64_t>(unclear);
  scores.yes_ratio = ratio(yes, static_cast<double>(scores.overall.questions));
  scores.published = bootstrapped("mean F1", scores.graded, mean_f1);
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
