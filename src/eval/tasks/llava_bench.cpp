#include "eval/tasks/llava_bench.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/bootstrap.hpp"
#include "eval/json_lines.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr std::string_view kSystem = "You compare answers carefully and fairly.";
constexpr std::string_view kInstruction =
    "Two assistants answered the question above about a picture, which the context describes. Judge how "
    "helpful, "
    "relevant, accurate and detailed each answer is, and give each a score from 1 to 10, 10 being the best. "
    "Which "
    "answer stands first must not matter. The first line of your reply holds nothing but the two scores, "
    "that of "
    "Assistant 1 and that of Assistant 2, with a blank between them. Give your reasons from the second line "
    "on.";

std::vector<Question> load(const TaskInput& input) {
  return read_questions(input.questions);
}

// Picture to what it shows, in words.
std::unordered_map<std::string, std::string> read_contexts(const std::filesystem::path& file) {
  std::unordered_map<std::string, std::string> contexts;
  for_each_record(file, [&](const JsonObject& record) {
    std::string& caption = contexts[record.string("image")];
    const Json& value = record.at("caption");
    if (!value.is_array()) {
      caption = record.string("caption");
      return;
    }
    for (const Json& line : value) {
      if (!line.is_string())
        throw bad_data(record.where() + ": caption", "wrong type", {.expected = "a string, or strings"});
      caption += (caption.empty() ? "" : "\n") + line.get<std::string>();
    }
  });
  return contexts;
}

std::string found_in(const std::unordered_map<std::string, std::string>& map, const std::string& key,
                     const std::string& where, const std::filesystem::path& file) {
  const auto found = map.find(key);
  if (found != map.end()) return found->second;
  throw bad_data(where, "not in " + file.string(), {.found = "\"" + printable(key) + "\""});
}

std::vector<JudgeRequest> judge_requests(const TaskInput& input, std::span<const Answer> answers,
                                         const std::string& instruction) {
  const std::filesystem::path context_file = input.annotations / "context.jsonl";
  const std::filesystem::path reference_file = input.annotations / "answers_gpt4.jsonl";
  const auto contexts = read_contexts(context_file);
  std::unordered_map<std::string, std::string> references;
  for_each_record(reference_file, [&](const JsonObject& record) {
    references[id_text(question_id(record, "question_id"))] = record.string("text");
  });
  const std::vector<Question> questions = load(input);
  const std::vector<const Answer*> matched = require_answers(questions, answers, input.partial);
  std::vector<JudgeRequest> requests;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (matched[i] == nullptr) continue;
    const Question& question = questions[i];
    const std::string id = id_text(question.id);
    const std::string caption = found_in(contexts, question.image, question.where + ": image", context_file);
    const std::string reference = found_in(references, id, question.where + ": question_id", reference_file);
    std::string text = "[Context]\n" + caption + "\n\n[Question]\n" + question.text + "\n\n";
    text += "[Assistant 1]\n" + reference + "\n\n[End of Assistant 1]\n\n";
    text += "[Assistant 2]\n" + matched[i]->text + "\n\n[End of Assistant 2]\n\n";
    text += "[System]\n" + (instruction.empty() ? std::string(kInstruction) : instruction) + "\n\n";
    requests.push_back({.id = id,
                        .prompt = {.system = std::string(kSystem),
                                   .user = std::move(text),
                                   .temperature = 0.2,
                                   .max_tokens = 1024}});
  }
  return requests;
}

bool understands(std::string_view verdict) {
  return llava_bench_scores(verdict).has_value();
}

// The model's points in percent of the reference's, and both in percent of ten.
FigureGroup figures_of(const std::string& name, std::span<const Graded> graded) {
  double own = 0, reference = 0;
  for (const Graded& answer : graded) {
    own += answer.score;
    reference += answer.reference;
  }
  const auto count = static_cast<double>(std::max<size_t>(graded.size(), 1));
  return {.name = name,
          .figures = {{"relative", reference > 0 ? 100 * own / reference : 0},
                      {"reference", 100 * reference / count},
                      {"model", 100 * own / count}}};
}

// A verdict without two scores is left out, and counted.
Scores score_judged(const TaskInput& input, std::span<const Answer> answers,
                    std::span<const std::string> verdicts) {
  const std::vector<Question> questions = load(input);
  const std::vector<const Answer*> matched = require_answers(questions, answers, input.partial);
  std::vector<Graded> graded;
  std::map<std::string, std::vector<Graded>> by_category;
  double unjudged = 0;
  size_t next = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (matched[i] == nullptr) continue;
    const auto scores = llava_bench_scores(verdicts[next++]);
    if (!scores) {
      ++unjudged;
      continue;
    }
    graded.push_back({.category = questions[i].category,
                      .truth = "",
                      .score = scores->second / 10,
                      .reference = scores->first / 10,
                      .id = id_text(questions[i].id),
                      .picture = questions[i].image});
    by_category[questions[i].category].push_back(graded.back());
  }
  Scores scores = tally(std::move(graded));
  scores.published = bootstrapped("relative score", scores.graded, mean_percent);
  for (const auto& [name, group] : by_category) scores.figures.push_back(figures_of(name, group));
  scores.figures.push_back(figures_of("all", scores.graded));
  scores.figures.push_back({.name = "judge", .figures = {{"unjudged", unjudged}}});
  return scores;
}

}  // namespace

std::optional<std::pair<double, double>> llava_bench_scores(std::string_view verdict) {
  std::string line(verdict.substr(0, verdict.find('\n')));
  std::replace(line.begin(), line.end(), ',', ' ');
  const std::optional<std::vector<double>> scores = numbers_of(line);
  const auto valid = [](double score) { return score >= 1 && score <= 10; };
  if (!scores || scores->size() != 2 || !valid((*scores)[0]) || !valid((*scores)[1])) return std::nullopt;
  return std::pair((*scores)[0], (*scores)[1]);
}

const Task& llava_bench_task() {
  static constexpr Task task{.name = "llava_bench",
                             .layout = {"llava-bench-in-the-wild/questions.jsonl", "llava-bench-in-the-wild",
                                        "llava-bench-in-the-wild/images"},
                             .center_crop = true,
                             .max_new_tokens = 1024,
                             .load = load,
                             .judge_requests = judge_requests,
                             .understands = understands,
                             .score_judged = score_judged};
  return task;
}

}  // namespace moellava
