// What an evaluation found, as JSON, as a table for a terminal, and several side by side in Markdown.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/json.hpp"
#include "eval/runner.hpp"
#include "eval/task.hpp"
#include "model/moe_llava.hpp"

namespace moellava {

struct EvalResult {
  std::string model;      // folder, or what a file of answers made elsewhere calls its model
  std::string task;       // name
  std::string questions;  // file
  bool blank_images = false;
  int64_t image_size = 0;     // pixels a side as the tower sees them, 0 for a text-only model
  ParameterCount parameters;  // zeros for answers made elsewhere
  RunCost cost;
  Scores scores;
};

Json result_json(const EvalResult& result);
// Throws BadData naming file and field.
EvalResult read_result(const std::filesystem::path& path);

std::string result_table(const EvalResult& result);
// A Markdown table with a column for each result, aligned to be read as plain text too. `labels` [results]
// head the columns; throws Usage when their number differs. What a result lacks is "-".
std::string comparison_table(std::span<const EvalResult> results, std::span<const std::string> labels);

}  // namespace moellava
