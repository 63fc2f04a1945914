// `moe-llava eval`: questions with known answers to scores.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/string_printf.hpp"
#include "base/strings.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/eval_plan.hpp"
#include "cli/trace_recorder.hpp"
#include "eval/answer_log.hpp"
#include "eval/answer_text.hpp"
#include "eval/prepare.hpp"
#include "eval/published_results.hpp"
#include "eval/report.hpp"
#include "eval/runner.hpp"
#include "eval/task.hpp"
#include "model/fingerprint.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

// All that changes an answer beside the name of the model, the question and the longest answer.
std::string settings_of(const EvalFlags& flags, MoeLlava& model) {
  std::string text =
      string_printf("weights %016llx", static_cast<unsigned long long>(weights_fingerprint(model)));
  if (flags.run.batch_size > 1) text += ", batch_size " + std::to_string(flags.run.batch_size);
  if (flags.run.blank_images) text += ", blank_images";
  if (!flags.model.conversation.empty()) text += ", conv " + flags.model.conversation;
  if (!flags.model.vision_tower.empty()) text += ", vision_tower " + flags.model.vision_tower;
  if (!flags.model.mm_projector.empty()) text += ", mm_projector " + flags.model.mm_projector;
  if (flags.model.bf16) text += ", bf16";
  return text + flags.model.moe_settings();
}

// The questions of every benchmark; all files are read before the first question is asked.
std::vector<std::vector<Question>> load_questions(const EvalFlags& flags, std::span<const PlannedTask> plan) {
  std::vector<std::vector<Question>> questions;
  std::vector<std::string> missing;
  for (const PlannedTask& planned : plan) {
    std::vector<Question>& asked = questions.emplace_back(planned.task->load(planned.input));
    if (flags.limit > 0) asked.resize(std::min(asked.size(), static_cast<size_t>(flags.limit)));
    std::ranges::move(missing_pictures(asked, planned.run.image_folder), std::back_inserter(missing));
  }
  require_none_missing(missing);
  return questions;
}

// The judge that the flags name; what it said is kept with the rest of --out, unless told otherwise.
std::optional<Judge> judge_of(const EvalFlags& flags) {
  if (!flags.judges()) return std::nullopt;
  std::optional<ChatEndpointOptions> endpoint;
  if (!flags.judge_url.empty()) {
    const char* key = std::getenv("MOELLAVA_JUDGE_KEY");
    endpoint = ChatEndpointOptions{.url = flags.judge_url,
                                   .model = flags.judge_model,
                                   .key = key != nullptr ? key : "",
                                   .timeout = std::chrono::seconds(flags.judge_timeout)};
  }
  fs::path recorded = flags.judge_answers;
  if (recorded.empty() && !flags.out.empty()) recorded = fs::path(flags.out) / "judge.jsonl";
  return std::optional<Judge>(std::in_place, recorded, std::move(endpoint));
}

// Scores the answers, by the judge where the benchmark has one, and writes what is to be written.
void finish(const EvalFlags& flags, const PlannedTask& planned, const std::vector<Answer>& answers,
            std::optional<Judge>& judge, EvalResult& result) {
  const Task& task = *planned.task;
  if (!planned.submission.empty())
    write_file_atomic(planned.submission, task.submission(planned.input, answers));
  if (task.score != nullptr) {
    result.scores = task.score(planned.input, answers);
  } else if (task.judge_requests != nullptr && judge) {
    const std::string instruction =
        flags.judge_prompt.empty() ? "" : std::string(trimmed(read_file(flags.judge_prompt, 1 << 20)));
    const auto requests = task.judge_requests(planned.input, answers, instruction);
    result.scores = task.score_judged(planned.input, answers,
                                      judge->verdicts(std::string(task.name), requests, task.understands));
  } else {
    result.scored_elsewhere = std::ssize(answers);
  }
  if (!planned.result.empty()) write_file_atomic(planned.result, result_json(result).dump(2) + "\n");
}

EvalResult result_of(const PlannedTask& planned) {
  return {.model = "",
          .task = std::string(planned.task->name),
          .questions = planned.input.questions.string(),
          .blank_images = planned.run.blank_images,
          .parameters = {},
          .cost = {},
          .scores = {}};
}

// Lets the recorder see every question of a benchmark. Throws Usage when some will not be asked.
void record(const PlannedTask& planned, const std::vector<Question>& questions, const AnswerLog& log,
            TraceRecorder& recorder, RunOptions& run) {
  for (size_t i = 0; i < questions.size(); ++i) {
    if (log.has(i))
      throw usage_error("--trace", "an earlier run has answered some of the questions",
                        {.hint = "a trace needs all of them asked: begin with other --answers"});
  }
  const std::string task(planned.task->name);
  const std::string source = task == "short_answer" ? planned.input.questions.stem().string() : task;
  run.on_question = [&recorder, source, cropped = planned.task->center_crop](const Question& question) {
    TracedSample sample = traced_sample(question, source);
    sample.cropped = cropped;
    recorder.begin(std::move(sample));
  };
  run.on_routing = [&recorder](auto ids, auto routing) { recorder.add(ids, routing); };
}

std::vector<EvalResult> ask(const EvalFlags& flags, std::span<const PlannedTask> plan) {
  const std::vector<std::vector<Question>> questions = load_questions(flags, plan);
  const LoadedModel loaded = flags.model.load();
  const ModelConfig& config = loaded.model->config();
  const ParameterCount parameters = count_parameters(*loaded.model);
  const MoeRun moe = flags.model.moe_run(*loaded.model);
  const std::string settings = settings_of(flags, *loaded.model);
  std::optional<Judge> judge = judge_of(flags);
  std::optional<TraceRecorder> recorder;
  if (!flags.trace.empty()) recorder.emplace(*loaded.model, *loaded.tokenizer, flags.model.model, moe.top_k);
  std::vector<EvalResult> results;
  for (size_t i = 0; i < plan.size(); ++i) {
    RunOptions run = plan[i].run;
    run.moe = moe;
    AnswerLog log(plan[i].answers, *plan[i].task, questions[i], folder_name(flags.model.model),
                  "max_new_tokens " + std::to_string(run.max_new_tokens) + ", " + settings);
    if (recorder) record(plan[i], questions[i], log, *recorder, run);
    EvalResult& result = results.emplace_back(result_of(plan[i]));
    result.model = flags.model.model;
    result.image_size = config.vision ? config.preprocess.size : 0;
    result.parameters = parameters;
    result.cost = answer_questions(*loaded.model, *loaded.tokenizer, *plan[i].task, questions[i], run, log);
    // Who was asked nothing now, but was before, is as fast as before.
    if (result.cost.questions == 0 && fs::exists(plan[i].result))
      result.cost = read_results(plan[i].result).front().cost;
    finish(flags, plan[i], log.answers(), judge, result);
  }
  if (recorder) write_trace(flags.trace, recorder->trace());
  return results;
}

std::vector<EvalResult> score_predictions(const EvalFlags& flags, std::span<const PlannedTask> plan) {
  std::optional<Judge> judge = judge_of(flags);
  std::vector<EvalResult> results;
  for (const PlannedTask& planned : plan) {
    const std::vector<Answer> answers = read_answers(planned.predictions, planned.task->skips_broken_answers);
    if (answers.empty()) throw bad_data(planned.predictions.string(), "no answers in it");
    EvalResult& result = results.emplace_back(result_of(planned));
    result.model = answers.front().model_id;
    finish(flags, planned, answers, judge, result);
  }
  return results;
}

void evaluate(const EvalFlags& flags) {
  const std::vector<PlannedTask> plan = plan_tasks(flags);
  const std::vector<EvalResult> results =
      flags.predictions.empty() ? ask(flags, plan) : score_predictions(flags, plan);
  std::string paper;
  if (flags.published) {
    const std::vector<std::vector<EvalResult>> reports = {results};
    paper = "\n" + published_tables(reports, std::vector<std::string>{folder_name(results[0].model)});
  }
  if (!flags.out.empty()) {
    write_file_atomic(fs::path(flags.out) / "report.json", report_json(results).dump(2) + "\n");
    write_file_atomic(fs::path(flags.out) / "report.md", markdown_report(results) + paper);
  }
  const bool one_scored = results.size() == 1 && !results[0].scored_elsewhere;
  std::fputs(((one_scored ? result_table(results[0]) : overview_table(results)) + paper).c_str(), stdout);
}

void add_question_options(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("--tasks,--task", flags.tasks, "benchmarks, separated by commas: " + joined(task_names()))
      ->delimiter(',')
      ->type_name("NAME,...")
      ->group("Questions")
      ->default_str("short_answer");
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
  command.add_option("--batch-size", flags.run.batch_size, "questions answered at once")
      ->check(number_from<size_t>(1, 1024))
      ->type_name("N")
      ->group("Performance")
      ->capture_default_str();
  command
      .add_option("--max-new-tokens", flags.max_new_tokens,
                  "longest answer, instead of the benchmark's own: 12, 128 or 1024")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->type_name("N")
      ->group("Questions");
}

void add_answer_options(CLI::App& command, EvalFlags& flags) {
  CLI::Option* predictions =
      command
          .add_option(
              "--predictions", flags.predictions,
              "score these answers; no model is run (for several benchmarks a folder with NAME.jsonl)")
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
  command
      .add_option(
          "--out", flags.out,
          "folder for all of these, benchmark by benchmark, and for report.json and report.md; a run that "
          "was stopped goes on")
      ->type_name("DIR")
      ->group("Output");
  command.add_flag("--published", flags.published, "the paper's own results beside these")->group("Output");
}

void add_judge_options(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("--judge-url", flags.judge_url,
                  "OpenAI-compatible endpoint that judges LLaVA-Bench and MM-Vet, up to /v1 (its key in "
                  "MOELLAVA_JUDGE_KEY)")
      ->type_name("URL")
      ->group("Judge");
  command.add_option("--judge-model", flags.judge_model, "the judge's name there")
      ->type_name("NAME")
      ->group("Judge");
  command
      .add_option(
          "--judge-answers", flags.judge_answers,
          "recorded verdicts, as JSON lines; with --judge-url only what is missing is asked, and added")
      ->type_name("FILE")
      ->group("Judge");
  command
      .add_option("--judge-prompt", flags.judge_prompt,
                  "what the judge is told to do, instead of our words: for scores as the original's")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group("Judge");
  command.add_option("--judge-timeout", flags.judge_timeout, "seconds that a reply may take")
      ->check(number_from<int64_t>(1, 3600))
      ->type_name("S")
      ->group("Judge")
      ->capture_default_str();
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Score a model on a benchmark or on own questions");
  auto flags = std::make_shared<EvalFlags>();
  flags->model.add_to(*command);
  command->get_option("--model")->required(false);
  add_question_options(*command, *flags);
  add_answer_options(*command, *flags);
  add_judge_options(*command, *flags);
  command->footer(R"(Examples:
  moe-llava eval --model run/stage3 --questions test.jsonl --image-folder images --result moe.json
  moe-llava eval --model run/stage3 --tasks pope,mme,scienceqa --data eval --out scores
  moe-llava eval --task pope --data eval --predictions answers.jsonl)");
  command->callback([flags] { evaluate(*flags); });
}

}  // namespace moellava
