// `moe-llava eval`: questions with known answers to scores; `moe-llava compare`: several results side by
// side.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "eval/answers.hpp"
#include "eval/report.hpp"
#include "eval/runner.hpp"
#include "eval/tasks/short_answer.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

struct EvalFlags {
  ModelOptions model;
  std::string questions;
  RunOptions run;
  int64_t limit = 0;
  std::string answers;
  std::string result;
};

// Before an hour of work, not after it.
void require_folder_of(const std::string& file, const char* flag) {
  if (file.empty()) return;
  const fs::path folder = fs::absolute(fs::path(file)).parent_path();
  if (!fs::is_directory(folder))
    throw usage_error(flag, "no such folder", {.found = "\"" + printable(folder.string()) + "\""});
}

// "runs/moe/" -> "moe"
std::string folder_name(const std::string& path) {
  const fs::path clean = fs::path(path).lexically_normal();
  return (clean.has_filename() ? clean : clean.parent_path()).filename().string();
}

void evaluate(const EvalFlags& flags) {
  require_folder_of(flags.answers, "--answers");
  require_folder_of(flags.result, "--result");
  const Task& task = short_answer_task();
  std::vector<Question> questions = task.load(flags.questions);
  if (flags.limit > 0) questions.resize(std::min(questions.size(), static_cast<size_t>(flags.limit)));
  const LoadedModel loaded = flags.model.load();
  RunOptions run = flags.run;
  run.moe = flags.model.moe_run(*loaded.model);
  const ModelConfig& config = loaded.model->config();

  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> answers =
      answer_questions(*loaded.model, *loaded.tokenizer, task, questions, run);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const EvalResult result{.model = flags.model.model,
                          .task = std::string(task.name),
                          .questions = flags.questions,
                          .blank_images = flags.run.blank_images,
                          .image_size = config.vision ? config.preprocess.size : 0,
                          .parameters = count_parameters(*loaded.model),
                          .seconds = seconds,
                          .scores = task.score(questions, answers)};
  if (!flags.answers.empty())
    write_answers(flags.answers, task, questions, answers, folder_name(flags.model.model));
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

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Score a model on questions with short answers");
  auto flags = std::make_shared<EvalFlags>();
  flags->model.add_to(*command);
  command
      ->add_option("--questions", flags->questions, "JSON lines {question_id, image, text, category, answer}")
      ->required()
      ->type_name("FILE")
      ->group("Questions");
  command->add_option("--image-folder", flags->run.image_folder, "folder that picture names are relative to")
      ->type_name("DIR")
      ->group("Questions");
  command
      ->add_flag("--blank-images", flags->run.blank_images,
                 "replace every picture by a plain one: what is known without seeing")
      ->group("Questions");
  command->add_option("--limit", flags->limit, "only the first N questions")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N")
      ->group("Questions");
  command->add_option("--max-new-tokens", flags->run.max_new_tokens, "longest answer")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->group("Questions")
      ->capture_default_str();
  command->add_option("--answers", flags->answers, "write the answers here, as LLaVA's JSON lines")
      ->type_name("FILE")
      ->group("Output");
  command->add_option("--result", flags->result, "write the scores here, for compare")
      ->type_name("FILE")
      ->group("Output");
  command->footer(R"(Examples:
  moe-llava eval --model run/stage3 --questions test.jsonl --image-folder images --result moe.json
  moe-llava eval --model run/stage3 --questions test.jsonl --image-folder images --blank-images --result blank.json)");
  command->callback([flags] { evaluate(*flags); });
  add_compare_command(app);
}

}  // namespace moellava
