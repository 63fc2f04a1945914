#include "eval/tasks/mme.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.hpp"
#include "base/path_below.hpp"
#include "eval/answer_text.hpp"
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

struct Subtask {
  double questions = 0, right = 0;
  std::map<std::string, std::pair<int, int>> pictures;  // id: questions, right ones

  double accuracy() const { return questions > 0 ? 100 * (right / questions) : 0; }
  // Pictures whose both questions are right.
  double accuracy_plus() const {
    const auto whole = std::count_if(pictures.begin(), pictures.end(), [](const auto& picture) {
      return picture.second.first == 2 && picture.second.second == 2;
    });
    return pictures.empty() ? 0 : 100 * (static_cast<double>(whole) / static_cast<double>(pictures.size()));
  }
};

template <size_t N>
FigureGroup group_of(const std::string& name, const std::array<std::string_view, N>& subtasks,
                     const std::map<std::string, Subtask>& all) {
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

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const std::vector<Question> questions = load(input);
  require_answers(questions, answers, input.partial);
  std::map<std::string, Subtask> subtasks;
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
    Subtask& subtask = subtasks[parts_of(answer).first];
    auto& picture = subtask.pictures[answer.question_id.get<std::string>()];
    ++subtask.questions;
    ++picture.first;
    subtask.right += right ? 1 : 0;
    picture.second += right ? 1 : 0;
    yes += decision == "yes";
    unclear += decision == "other";
    graded.push_back({parts_of(answer).first, label->second, right ? 1.0 : 0.0});
  }
  Scores scores = tally(graded);
  scores.yes_no_questions = scores.overall.questions;
  scores.yes_no_unclear = unclear;
  if (!graded.empty()) scores.yes_ratio = static_cast<double>(yes) / static_cast<double>(graded.size());
  scores.figures = {group_of("perception", kPerception, subtasks),
                    group_of("cognition", kCognition, subtasks)};
  scores.published = Figure{"perception", scores.figures[0].figures.back().value};
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
