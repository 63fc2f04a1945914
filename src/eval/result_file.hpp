// What an evaluation found, as JSON and back.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "eval/runner.hpp"
#include "eval/task.hpp"
#include "model/moe_llava.hpp"

namespace moellava {

// Of one model on one benchmark.
struct EvalResult {
  std::string model;      // folder, or what a file of answers made elsewhere calls its model
  std::string task;       // name
  std::string questions;  // file
  bool blank_images = false;
  int64_t image_size = 0;     // pixels a side as the tower sees them, 0 for a text-only model
  ParameterCount parameters;  // zeros for answers made elsewhere
  RunCost cost;
  Scores scores;
  std::optional<int64_t> scored_elsewhere = {};  // answers, where there are no scores here
};

// Share of right answers that always giving a category's most frequent answer would have.
double majority_share(const Tally& tally);
double images_per_second(const RunCost& cost);

// The score of each question, by its id; where ids repeat, "#2", "#3" tell them apart.
std::map<std::string, double> scores_by_id(std::span<const Graded> graded);

// What depends on how fast and how often it was run stands under "speed"; all else is the same for the same
// answers.
Json result_json(const EvalResult& result);
// {"results": [...]}: several benchmarks.
Json report_json(std::span<const EvalResult> results);

// Results of a file that result_json or report_json made, or of report.json in a folder. Of each question, id
// and score are read. Throws BadData naming file and field.
std::vector<EvalResult> read_results(const std::filesystem::path& path);

}  // namespace moellava
