#include "eval/tasks/gqa.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "base/error.hpp"
#include "eval/python_json.hpp"
#include "eval/tally.hpp"
#include "eval/vqa_normaliser.hpp"

namespace moellava {

namespace {

constexpr JsonLimits kLimits{.bytes = 1ull << 30, .depth = 32};
constexpr std::string_view kSuffix = "\nAnswer the question using a single word or phrase.";

// The whole official file, in the order of the ids.
class QuestionFile {
 public:
  explicit QuestionFile(const std::filesystem::path& path)
      : json_(read_json(path, kLimits)), object_(json_, path.string()) {
    if (json_.empty()) throw bad_data(path.string(), "no questions in it");
  }
  template <typename Each>
  void for_each(const Each& each) const {
    for (const auto& item : json_.items()) each(item.key(), object_.object(item.key()));
  }

 private:
  Json json_;
  JsonObject object_;
};

// Only these count.
bool is_balanced(const JsonObject& record) {
  return record.boolean_or("isBalanced", true);
}

std::vector<Question> load(const TaskInput& input) {
  std::vector<Question> questions;
  QuestionFile(input.questions).for_each([&](const std::string& id, const JsonObject& record) {
    if (!is_balanced(record)) return;
    questions.push_back({.id = id,
                         .image = record.string("imageId") + ".jpg",
                         .text = record.string("question") + std::string(kSuffix),
                         .category = "",
                         .answer = record.string("answer"),
                         .where = record.where()});
  });
  return questions;
}

int64_t words_in(const std::string& text) {
  int64_t words = 0;
  for (size_t at = text.find_first_not_of(" \t\r\n"); at != std::string::npos; ++words)
    at = text.find_first_not_of(" \t\r\n", text.find_first_of(" \t\r\n", at));
  return words;
}

// The steps of the question's program, without those that only name what was found.
int64_t steps_of(const JsonObject& record) {
  const Json& program = record.at("semantic");
  if (!program.is_array())
    throw bad_data(record.where() + ": semantic", "wrong type", {.expected = "a list"});
  int64_t steps = 0;
  for (const Json& item : program) {
    const JsonObject step(item, record.where() + ": semantic");
    const std::string text = step.string("operation") + ": " + step.string("argument");
    constexpr std::array<std::string_view, 3> naming = {"exist", "query: name", "choose name"};
    steps += std::none_of(naming.begin(), naming.end(),
                          [&](std::string_view name) { return text.find(name) != std::string::npos; });
  }
  return steps;
}

struct Mean {
  double sum = 0, count = 0;
  void add(bool right) {
    sum += right ? 1 : 0;
    ++count;
  }
  double percent() const { return count > 0 ? 100 * (sum / count) : 0; }
};

using Means = std::map<std::string, Mean>;
using Distribution = std::map<std::string, std::map<std::string, double>>;  // group, answer: how often

// How far the answers given in each group of questions are from the true ones: chi-square, weighted by size.
double distribution_score(const Distribution& truth, Distribution& given) {
  double sum = 0, questions = 0;
  for (const auto& [group, answers] : truth) {
    double score = 0, size = 0;
    for (const auto& [answer, expected] : answers) {
      const double difference = given[group][answer] - expected;
      score += difference * difference / expected;
      size += expected;
    }
    sum += score * size;
    questions += size;
  }
  return questions > 0 ? sum / questions / 100 : 0;
}

struct Breakdown {
  Mean binary, open, all;
  Means structural, semantic, steps, words;
  Distribution truth, given;
  std::vector<Graded> graded;

  void add(const std::string& id, const JsonObject& record, const std::string& prediction) {
    const std::string gold = record.string("answer");
    const bool right = prediction == gold;
    const JsonObject types = record.object("types");
    const std::string structural_type = types.string("structural");
    (structural_type == "query" ? open : binary).add(right);
    all.add(right);
    structural[structural_type].add(right);
    semantic[types.string("semantic")].add(right);
    steps[std::to_string(steps_of(record))].add(right);
    words[std::to_string(words_in(record.string("question")))].add(right);
    if (const JsonObject groups = record.object("groups"); groups.has("global")) {
      ++truth[groups.string("global")][gold];
      ++given[groups.string("global")][prediction];
    }
    graded.push_back({.category = structural_type,
                      .truth = gold,
                      .score = right ? 1.0 : 0.0,
                      .id = id,
                      .picture = record.string_or("imageId", "")});
  }
};

// Numbers first and by size, as the official script sorts them.
FigureGroup group_of(const std::string& name, const Means& means) {
  FigureGroup group{.name = name, .figures = {}};
  for (const auto& [key, mean] : means) group.figures.push_back({key, mean.percent()});
  std::stable_sort(group.figures.begin(), group.figures.end(), [](const Figure& a, const Figure& b) {
    return a.name.size() < b.name.size() && a.name.find_first_not_of("0123456789") == std::string::npos;
  });
  return group;
}

std::unordered_map<std::string, const Answer*> by_id(std::span<const Answer> answers) {
  std::unordered_map<std::string, const Answer*> map;
  for (const Answer& answer : answers) map[id_text(answer.question_id)] = &answer;
  return map;
}

Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const auto given = by_id(answers);
  Breakdown breakdown;
  QuestionFile(input.questions).for_each([&](const std::string& id, const JsonObject& record) {
    if (!is_balanced(record)) return;
    const auto answer = given.find(id);
    if (answer == given.end()) {
      if (input.partial) return;
      throw bad_data(record.where(), "has no answer");
    }
    breakdown.add(id, record, gqa_prediction(answer->second->text));
  });
  Scores scores = tally(std::move(breakdown.graded));
  scores.published = published_mean("accuracy", breakdown.all.percent(), scores.graded);
  scores.figures = {{.name = "overview",
                     .figures = {{"binary", breakdown.binary.percent()},
                                 {"open", breakdown.open.percent()},
                                 {"accuracy", breakdown.all.percent()},
                                 {"distribution", distribution_score(breakdown.truth, breakdown.given)}}},
                    group_of("structural type", breakdown.structural),
                    group_of("semantic type", breakdown.semantic),
                    group_of("steps number", breakdown.steps),
                    group_of("words number", breakdown.words)};
  return scores;
}

std::string submission(const TaskInput&, std::span<const Answer> answers) {
  std::vector<std::string> records;
  for (const Answer& answer : answers)
    records.push_back(
        python_record({{"questionId", answer.question_id}, {"prediction", gqa_prediction(answer.text)}}));
  return python_list(records);
}

}  // namespace

std::string gqa_prediction(std::string_view answer) {
  while (answer.ends_with('.')) answer.remove_suffix(1);
  return unicode_lower_case(answer);
}

const Task& gqa_task() {
  static constexpr Task task{.name = "gqa",
                             .layout = {"gqa/data/testdev_balanced_questions.json", "", "gqa/data/images"},
                             .load = load,
                             .score = score,
                             .submission = submission};
  return task;
}

}  // namespace moellava
