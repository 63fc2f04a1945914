#include "cli/eval_plan.hpp"

#include <set>
#include <system_error>

#include "base/error.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

std::string quoted(const std::string& name) {
  return "\"" + printable(name) + "\"";
}

void require_folder_of(const std::string& file, const char* flag) {
  if (file.empty()) return;
  const fs::path folder = fs::absolute(fs::path(file)).parent_path();
  if (!fs::is_directory(folder))
    throw usage_error(flag, "no such folder", {.found = quoted(folder.string())});
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw make_error(ErrorKind::Io, printable(folder.string()), "cannot be made: " + failure.message());
}

// A path that was given, or where the published archives have it below --data.
fs::path given_or_below(const fs::path& given, const EvalFlags& flags, std::string_view layout,
                        const char* flag) {
  if (!given.empty() || layout.empty()) return given;
  if (flags.data.empty()) {
    throw usage_error(flag, "needed for this benchmark",
                      {.hint = "or --data, the folder that has " + std::string(layout)});
  }
  return fs::path(flags.data) / layout;
}

// What to ask and score. Nothing has been read yet.
TaskInput task_input(const EvalFlags& flags, const Task& task) {
  TaskInput input = flags.input;
  const bool needs_questions = flags.predictions.empty() || !task.scored_without_questions;
  if (needs_questions)
    input.questions = given_or_below(input.questions, flags, task.layout.questions, "--questions");
  if (needs_questions && input.questions.empty())
    throw usage_error("--questions", "needed for this benchmark");
  const bool needs_truth = task.judge_requests == nullptr || flags.judges();
  if (needs_truth)
    input.annotations = given_or_below(input.annotations, flags, task.layout.annotations, "--annotations");
  if (!input.annotations.empty() && !fs::exists(input.annotations))
    throw make_error(ErrorKind::Io, input.annotations.string(), "no such file or folder");
  input.partial = flags.limit > 0;
  return input;
}

// What names one file cannot stand for several benchmarks, nor beside the folder that has them all.
void require_possible_together(const EvalFlags& flags) {
  if (std::set<std::string>(flags.tasks.begin(), flags.tasks.end()).size() < flags.tasks.size())
    throw usage_error("--tasks", "a benchmark is named twice");
  const std::pair<const char*, bool> read[] = {{"--questions", !flags.input.questions.empty()},
                                               {"--annotations", !flags.input.annotations.empty()},
                                               {"--image-folder", !flags.run.image_folder.empty()}};
  for (const auto& [flag, given] : read) {
    if (given && flags.tasks.size() > 1)
      throw usage_error(flag, "for one benchmark only", {.expected = "--data"});
  }
  const std::pair<const char*, bool> written[] = {{"--answers", !flags.answers.empty()},
                                                  {"--submission", !flags.submission.empty()},
                                                  {"--result", !flags.result.empty()}};
  for (const auto& [flag, given] : written) {
    if (given && (flags.tasks.size() > 1 || !flags.out.empty()))
      throw usage_error(flag, "for one benchmark only, without --out", {.expected = "--out"});
  }
}

void require_possible(const EvalFlags& flags, const Task& task) {
  const bool judged = task.judge_requests != nullptr && flags.judges();
  if (task.score == nullptr && !judged && !flags.result.empty()) {
    throw usage_error("--result", "this benchmark is not scored here",
                      {.expected = task.judge_requests != nullptr ? "--judge-url or --judge-answers"
                                                                  : "--answers or --submission"});
  }
  if (task.judge_requests == nullptr && flags.judges() && flags.tasks.size() == 1)
    throw usage_error(flags.judge_url.empty() ? "--judge-answers" : "--judge-url",
                      "this benchmark has no judge");
  if (!flags.judge_url.empty() && flags.judge_model.empty())
    throw usage_error("--judge-model", "missing", {.expected = "the judge's name at --judge-url"});
  if (task.submission == nullptr && !flags.submission.empty())
    throw usage_error("--submission", "this benchmark takes none", {.expected = "--answers"});
  if (flags.input.circular && !task.rotates_options && flags.tasks.size() == 1)
    throw usage_error("--circular", "this benchmark has no options to rotate");
  if (flags.model.model.empty() && flags.predictions.empty())
    throw usage_error("--model", "missing", {.expected = "--model, or --predictions to score"});
}

// Where --out has what one benchmark writes.
void put_below(const fs::path& out, bool asks, PlannedTask& planned) {
  const std::string name(planned.task->name);
  if (asks) planned.answers = out / "answers" / (name + ".jsonl");
  if (planned.task->submission != nullptr)
    planned.submission = out / "submissions" / (name + std::string(planned.task->submission_suffix));
  planned.result = out / "results" / (name + ".json");
  for (const fs::path& file : {planned.answers, planned.submission, planned.result}) {
    if (!file.empty()) make_folder(file.parent_path());
  }
}

}  // namespace

std::vector<PlannedTask> plan_tasks(const EvalFlags& flags) {
  require_possible_together(flags);
  require_folder_of(flags.answers, "--answers");
  require_folder_of(flags.trace, "--trace");
  if (!flags.trace.empty() && flags.run.batch_size > 1)
    throw usage_error("--trace", "for questions asked one by one", {.expected = "--batch-size 1"});
  require_folder_of(flags.result, "--result");
  require_folder_of(flags.submission, "--submission");
  require_folder_of(flags.judge_answers, "--judge-answers");
  std::vector<PlannedTask> plan;
  for (const std::string& name : flags.tasks) {
    const Task& task = find_task(name);
    require_possible(flags, task);
    PlannedTask planned{.task = &task,
                        .input = task_input(flags, task),
                        .run = flags.run,
                        .predictions = flags.predictions,
                        .answers = flags.answers,
                        .submission = flags.submission,
                        .result = flags.result};
    planned.input.circular = flags.input.circular && task.rotates_options;
    planned.run.max_new_tokens = flags.max_new_tokens.value_or(task.max_new_tokens);
    if (planned.run.image_folder.empty() && !flags.data.empty())
      planned.run.image_folder = fs::path(flags.data) / task.layout.images;
    if (flags.tasks.size() > 1 && !flags.predictions.empty()) planned.predictions /= name + ".jsonl";
    if (!flags.out.empty()) put_below(flags.out, flags.predictions.empty(), planned);
    plan.push_back(std::move(planned));
  }
  return plan;
}

}  // namespace moellava
