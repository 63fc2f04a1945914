// `moe-llava eval`: questions with known answers to scores; `moe-llava compare`: several results side by
// side.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/string_printf.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/trace_recorder.hpp"
#include "eval/answer_log.hpp"
#include "eval/prepare.hpp"
#include "eval/report.hpp"
#include "eval/runner.hpp"
#include "eval/task.hpp"
#include "model/fingerprint.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

struct EvalFlags {
  ModelOptions model;
  std::string task = "short_answer";
  TaskInput input;
  std::string data;
  RunOptions run;
  int64_t limit = 0;
  std::optional<int64_t> max_new_tokens;
  std::string predictions;
  std::string answers;
  std::string trace;
  std::string submission;
  std::string result;
};

// Before an hour of work, not after it.
void require_folder_of(const std::string& file, const char* flag) {
  if (file.empty()) return;
  const fs::path folder = fs::absolute(fs::path(file)).parent_path();
  if (!fs::is_directory(folder))
    throw usage_error(flag, "no such folder", {.found = "\"" + printable(folder.string()) + "\""});
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
  input.annotations = given_or_below(input.annotations, flags, task.layout.annotations, "--annotations");
  input.partial = flags.limit > 0;
  return input;
}

void require_possible(const EvalFlags& flags, const Task& task) {
  require_folder_of(flags.answers, "--answers");
  require_folder_of(flags.trace, "--trace");
  require_folder_of(flags.result, "--result");
  require_folder_of(flags.submission, "--submission");
  if (task.score == nullptr && !flags.result.empty())
    throw usage_error("--result", "this benchmark is not scored here",
                      {.expected = "--answers or --submission"});
  if (task.submission == nullptr && !flags.submission.empty())
    throw usage_error("--submission", "this benchmark takes none", {.expected = "--answers"});
  if (flags.input.circular && !task.rotates_options)
    throw usage_error("--circular", "this benchmark has no options to rotate");
  if (flags.model.model.empty() && flags.predictions.empty())
    throw usage_error("--model", "missing", {.expected = "--model, or --predictions to score"});
}

// All that changes an answer beside the name of the model and the question.
std::string settings_of(const EvalFlags& flags, const RunOptions& run, MoeLlava& model) {
  std::string text = "max_new_tokens " + std::to_string(run.max_new_tokens);
  text += string_printf(", weights %016llx", static_cast<unsigned long long>(weights_fingerprint(model)));
  if (run.blank_images) text += ", blank_images";
  if (!flags.model.conversation.empty()) text += ", conv " + flags.model.conversation;
  if (!flags.model.vision_tower.empty()) text += ", vision_tower " + flags.model.vision_tower;
  if (!flags.model.mm_projector.empty()) text += ", mm_projector " + flags.model.mm_projector;
  if (flags.model.bf16) text += ", bf16";
  return text + flags.model.moe_settings();
}

// Fills in who answered, at what cost.
std::vector<Answer> ask(const EvalFlags& flags, const Task& task, const TaskInput& input,
                        EvalResult& result) {
  std::vector<Question> questions = task.load(input);
  if (flags.limit > 0) questions.resize(std::min(questions.size(), static_cast<size_t>(flags.limit)));
  RunOptions run = flags.run;
  run.max_new_tokens = flags.max_new_tokens.value_or(task.max_new_tokens);
  if (run.image_folder.empty() && !flags.data.empty())
    run.image_folder = fs::path(flags.data) / task.layout.images;
  require_pictures(questions, run.image_folder);
  const LoadedModel loaded = flags.model.load();
  AnswerLog log(flags.answers, task, questions, folder_name(flags.model.model),
                settings_of(flags, run, *loaded.model));
  run.moe = flags.model.moe_run(*loaded.model);
  const ModelConfig& config = loaded.model->config();
  result.model = flags.model.model;
  result.image_size = config.vision ? config.preprocess.size : 0;
  result.parameters = count_parameters(*loaded.model);
  std::optional<TraceRecorder> recorder;
  if (!flags.trace.empty()) {
    for (size_t i = 0; i < questions.size(); ++i) {
      if (log.has(i))
        throw usage_error("--trace", "an earlier run has answered some of the questions",
                          {.hint = "a trace needs all of them asked: begin with other --answers"});
    }
    recorder.emplace(*loaded.model, *loaded.tokenizer, flags.model.model, run.moe.top_k);
    const std::string source =
        flags.task == "short_answer" ? fs::path(input.questions).stem().string() : flags.task;
    run.on_question = [&, source](const Question& question) {
      TracedSample sample = traced_sample(question, source);
      sample.cropped = task.center_crop;
      recorder->begin(std::move(sample));
    };
    run.on_routing = [&](auto ids, auto routing) { recorder->add(ids, routing); };
  }
  result.cost = answer_questions(*loaded.model, *loaded.tokenizer, task, questions, run, log);
  if (recorder) write_trace(flags.trace, recorder->trace());
  return log.answers();
}

void evaluate(const EvalFlags& flags) {
  const Task& task = find_task(flags.task);
  require_possible(flags, task);
  const TaskInput input = task_input(flags, task);
  EvalResult result{.model = "",
                    .task = std::string(task.name),
                    .questions = input.questions.string(),
                    .blank_images = flags.run.blank_images,
                    .parameters = {},
                    .cost = {},
                    .scores = {}};
  std::vector<Answer> answers;
  if (flags.predictions.empty()) {
    answers = ask(flags, task, input, result);
  } else {
    answers = read_answers(flags.predictions, task.skips_broken_answers);
    if (answers.empty()) throw bad_data(flags.predictions, "no answers in it");
    result.model = answers.front().model_id;
  }
  if (!flags.submission.empty()) write_file_atomic(flags.submission, task.submission(input, answers));
  if (task.score == nullptr) {
    std::printf("%zu answers; %s is scored elsewhere\n", answers.size(), flags.task.c_str());
    return;
  }
  result.scores = task.score(input, answers);
  if (!flags.result.empty()) write_file_atomic(flags.result, result_json(result).dump(2) + "\n");
  std::fputs(result_table(result).c_str(), stdout);
}

void compare(const std::vector<std::string>& files, std::vector<std::string> labels) {
  std::vector<EvalResult> results;
  for (const std::string& file : files) results.push_back(read_result(file));
  if (labels.empty()) {
    labels.reserve(results.size());
    for (const EvalResult& result : results)
      labels.push_back(folder_name(result.model) + (result.blank_images ? ", image blanked" : ""));
  }
  std::fputs(comparison_table(results, labels).c_str(), stdout);
}

void add_compare_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("compare", "Results of eval side by side, as a Markdown table");
  auto files = std::make_shared<std::vector<std::string>>();
  auto labels = std::make_shared<std::vector<std::string>>();
  command->add_option("results", *files, "result files of eval")->required()->type_name("RESULT.json");
  command
      ->add_option("--labels", *labels, "heads of the columns, one for each result (default: model folders)")
      ->type_name("TEXT");
  command->footer(R"(Examples:
  moe-llava compare moe.json blank.json dense.json --labels "MoE" "MoE, image blanked" "dense")");
  command->callback([files, labels] { compare(*files, *labels); });
}

void add_question_options(CLI::App& command, EvalFlags& flags) {
  std::string names;
  for (const std::string& name : task_names()) names += (names.empty() ? "" : ", ") + name;
  command.add_option("--task", flags.task, "benchmark: " + names)
      ->type_name("NAME")
      ->group("Questions")
      ->capture_default_str();
  command
      .add_option("--data", flags.data,
                  "folder with the benchmarks as they are published (docs/evaluation.md)")
      ->type_name("DIR")
      ->group("Questions");
  command
      .add_option(
          "--questions", flags.input.questions,
          "instead of the one below --data; own data: JSON lines {question_id, image, text, category, "
          "answer}")
      ->type_name("FILE")
      ->group("Questions");
  command.add_option("--annotations", flags.input.annotations, "the true answers, where they are kept apart")
      ->type_name("PATH")
      ->group("Questions");
  command.add_option("--image-folder", flags.run.image_folder, "folder that picture names are relative to")
      ->type_name("DIR")
      ->group("Questions");
  command.add_flag("--circular", flags.input.circular, "MMBench: ask every rotation of the options")
      ->group("Questions");
  command
      .add_flag("--blank-images", flags.run.blank_images,
                "replace every picture by a plain one: what is known without seeing")
      ->group("Questions");
  command.add_option("--limit", flags.limit, "only the first N questions")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N")
      ->group("Questions");
  command
      .add_option("--max-new-tokens", flags.max_new_tokens,
                  "longest answer, instead of the benchmark's own: 12, 128 or 1024")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->type_name("N")
      ->group("Questions");
}

void add_answer_options(CLI::App& command, EvalFlags& flags) {
  CLI::Option* predictions =
      command.add_option("--predictions", flags.predictions, "score these answers; no model is run")
          ->type_name("FILE")
          ->group("Questions");
  command
      .add_option(
          "--answers", flags.answers,
          "write the answers here as they come, as LLaVA's JSON lines; a run that was stopped goes on")
      ->type_name("FILE")
      ->group("Output")
      ->excludes(predictions);
  command
      .add_option("--trace", flags.trace,
                  "write here which experts every token went to, for routing --from-trace (slower)")
      ->type_name("FILE")
      ->group("Output")
      ->excludes(predictions);
  command
      .add_option("--submission", flags.submission, "write here what the benchmark's server or judge takes")
      ->type_name("FILE")
      ->group("Output");
  command.add_option("--result", flags.result, "write the scores here, for compare")
      ->type_name("FILE")
      ->group("Output");
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Score a model on a benchmark or on own questions");
  auto flags = std::make_shared<EvalFlags>();
  flags->model.add_to(*command);
  command->get_option("--model")->required(false);
  add_question_options(*command, *flags);
  add_answer_options(*command, *flags);
  command->footer(R"(Examples:
  moe-llava eval --model run/stage3 --questions test.jsonl --image-folder images --result moe.json
  moe-llava eval --model run/stage3 --task pope --data eval --answers pope.jsonl --result pope.json
  moe-llava eval --task pope --data eval --predictions answers.jsonl)");
  command->callback([flags] { evaluate(*flags); });
  add_compare_command(app);
}

}  // namespace moellava
