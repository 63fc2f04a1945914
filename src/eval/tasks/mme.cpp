#include "eval/tasks/mme.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "base/error.hpp"
#include "base/path_below.hpp"
#include "eval/answer_text.hpp"
#include "eval/bootstrap.hpp"
#include "eval/json_lines.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 10> kPerception = {
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"};
constexpr std::array<std::string_view, 4> kCognition = {"commonsense_reasoning", "numerical_calculation",
                                                        "text_translation", "code_reasoning"};

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

// A question as LLaVA's file and MME's own folder agree on it: without what asks for a short answer, and with
// single blanks.
std::string core_of(std::string text) {
  for (const std::string_view request :
       {"Answer the question using a single word or phrase.", "Please answer yes or no."}) {
    if (const size_t at = text.find(request); at != std::string::npos) text.erase(at, request.size());
  }
  std::string core;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank) core += c;
    if (blank && !core.empty() && core.back() != ' ') core += ' ';
  }
  if (core.ends_with(' ')) core.pop_back();
  return core;
}

// "OCR/0001.jpg" -> {"OCR", "0001"}
std::pair<std::string, std::string> parts_of(const Answer& answer) {
  const std::string id = answer.question_id.is_string() ? answer.question_id.get<std::string>() : "";
  const size_t slash = id.find('/');
  if (slash == 0 || slash == std::string::npos) {
    throw bad_data(answer.where + ": question_id", "not a subtask and a picture",
                   {.found = "\"" + printable(id) + "\"", .expected = "\"OCR/0001.jpg\""});
  }
  const std::string file = id.substr(id.rfind('/') + 1);
  return {id.substr(0, slash), file.substr(0, file.find('.'))};
}

// The true answers to one picture's questions, by what core_of leaves of them.
std::map<std::string, std::string> read_truth(const TaskInput& input, const Answer& answer) {
  const auto [subtask, name] = parts_of(answer);
  const std::string where = answer.where + ": question_id";
  const bool inner = fs::is_directory(input.annotations / subtask / "questions_answers_YN");
  const fs::path file = path_below(input.annotations,
                                   subtask + (inner ? "/questions_answers_YN/" : "/") + name + ".txt", where);
  std::map<std::string, std::string> truth;
  for (const TextLine& line : read_lines(file)) {
    const size_t tab = line.text.find('\t');
    const std::string label = tab == std::string::npos ? "" : first_word(line.text.substr(tab + 1));
    if (label != "yes" && label != "no")
      throw bad_data(line.where, "no truth", {.expected = "a question, a tab, Yes or No"});
    truth[core_of(line.text.substr(0, tab))] = label;
  }
  return truth;
}

// Counts.
struct Subtask {
  double questions = 0, right = 0;
  double pictures = 0, whole = 0;  // whole: with two questions, both right

  double accuracy() const { return questions > 0 ? 100 * (right / questions) : 0; }
  double accuracy_plus() const { return pictures > 0 ? 100 * (whole / pictures) : 0; }
};

using Subtasks = std::map<std::string, Subtask>;

// `times` counts the answers about a picture alike.
Subtasks count(std::span<const Graded> graded, std::span<const int32_t> times) {
  struct Picture {
    const std::string* subtask;
    int32_t times;
    int questions = 0, right = 0;
  };
  Subtasks subtasks;
  std::unordered_map<std::string, Picture> pictures;
  for (size_t i = 0; i < graded.size(); ++i) {
    Subtask& subtask = subtasks[graded[i].category];
    subtask.questions += times[i];
    subtask.right += times[i] * graded[i].score;
    Picture& picture = pictures.try_emplace(graded[i].picture, &graded[i].category, times[i]).first->second;
    ++picture.questions;
    picture.right += graded[i].score == 1 ? 1 : 0;
  }
  for (const auto& [name, picture] : pictures) {
    Subtask& subtask = subtasks[*picture.subtask];
    subtask.pictures += picture.times;
    subtask.whole += picture.questions == 2 && picture.right == 2 ? picture.times : 0;
  }
  return subtasks;
}

template <size_t N>
FigureGroup group_of(const std::string& name, const std::array<std::string_view, N>& subtasks,
                     const Subtasks& all) {
  FigureGroup group{.name = name, .figures = {}};
  double total = 0;
  for (const std::string_view subtask : subtasks) {
    const auto found = all.find(std::string(subtask));
    if (found == all.end()) continue;
    const double points = found->second.accuracy() + found->second.accuracy_plus();
    group.figures.push_back({found->first + " acc", found->second.accuracy()});
    group.figures.push_back({found->first + " acc+", found->second.accuracy_plus()});
    group.figures.push_back({found->first, points});
    total += points;
  }
  group.figures.push_back({"total", total});
  return group;
}

double perception(std::span<const Graded> graded, std::span<const int32_t> times) {
  return group_of("perception", kPerception, count(graded, times)).figures.back().value;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const std::vector<Question> questions = load(input);
  require_answers(questions, answers, input.partial);
  std::vector<Graded> graded;
  int64_t yes = 0, unclear = 0;
  for (const Answer& answer : answers) {
    const auto truth = read_truth(input, answer);
    const auto label = truth.find(core_of(answer.prompt));
    if (label == truth.end()) {
      throw bad_data(answer.where + ": prompt", "not among the picture's questions",
                     {.found = "\"" + printable(answer.prompt) + "\""});
    }
    const std::string_view decision = mme_decision(answer.text);
    const bool right = decision == label->second;
    yes += decision == "yes";
    unclear += decision == "other";
    const auto picture = answer.question_id.get<std::string>();
    graded.push_back({.category = parts_of(answer).first,
                      .truth = label->second,
                      .score = right ? 1.0 : 0.0,
                      .id = picture + ": " + label->first,
                      .picture = picture});
  }
  Scores scores = tally(std::move(graded));
  scores.yes_no_questions = scores.overall.questions;
  scores.yes_no_unclear = unclear;
  if (scores.overall.questions > 0)
    scores.yes_ratio = static_cast<double>(yes) / static_cast<double>(scores.overall.questions);
  const std::vector<int32_t> once(scores.graded.size(), 1);
  const Subtasks subtasks = count(scores.graded, once);
  scores.figures = {group_of("perception", kPerception, subtasks),
                    group_of("cognition", kCognition, subtasks)};
  scores.published = bootstrapped("perception", scores.graded, perception);
  return scores;
}

}  // namespace

std::string_view mme_decision(std::string_view answer) {
  const std::string lower = lower_case(answer);
  if (lower == "yes") return "yes";
  if (lower == "no") return "no";
  const std::string_view beginning = std::string_view(lower).substr(0, 4);
  if (beginning.find("yes") != std::string_view::npos) return "yes";
  return beginning.find("no") != std::string_view::npos ? "no" : "other";
}

const Task& mme_task() {
  static constexpr Task task{.name = "mme",
                             .layout = {"MME/llava_mme.jsonl", "MME/MME_Benchmark_release_version",
                                        "MME/MME_Benchmark_release_version"},
                             .load = load,
                             .score = score};
  return task;
}

}  // namespace moellava
