// What `moe-llava eval` was asked for, and what follows for each benchmark.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.hpp"
#include "eval/runner.hpp"
#include "eval/task.hpp"

namespace moellava {

struct EvalFlags {
  ModelOptions model;
  std::vector<std::string> tasks = {"short_answer"};
  TaskInput input;
  std::string data;
  RunOptions run;
  int64_t limit = 0;  // 0: all questions
  std::optional<int64_t> max_new_tokens;
  std::string predictions;  // a file, or with several benchmarks a folder with TASK.jsonl
  std::string answers;
  std::string trace;
  std::string submission;
  std::string result;
  std::string out;
  bool published = false;  // show the paper's results, too
  std::string judge_url;
  std::string judge_model;
  std::string judge_answers;   // recorded verdicts
  std::string judge_prompt;    // file
  int64_t judge_timeout = 60;  // seconds

  bool judges() const { return !judge_url.empty() || !judge_answers.empty(); }
};

// One benchmark: what is read, asked and written. Empty paths are not written.
struct PlannedTask {
  const Task* task = nullptr;
  TaskInput input;
  RunOptions run;
  std::filesystem::path predictions;
  std::filesystem::path answers;
  std::filesystem::path submission;
  std::filesystem::path result;
};

// Throws Usage for flags that do not go together and for folders and files that are not there: before an hour
// of work, not after it. Makes the folders below --out.
std::vector<PlannedTask> plan_tasks(const EvalFlags& flags);

}  // namespace moellava
