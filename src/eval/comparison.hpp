// Several models side by side.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/result_file.hpp"

namespace moellava {

// A Markdown table of results on one benchmark with a column for each, aligned to be read as plain text too.
// `labels` [results] head the columns. What a result lacks is "-".
std::string comparison_table(std::span<const EvalResult> results, std::span<const std::string> labels);

// For each result but the first: how it differs from the first on the same questions, and whether by chance.
std::string paired_lines(std::span<const EvalResult> results, std::span<const std::string> labels);

// Both, for every benchmark of the reports, which are one model's results each; under headings when there are
// several benchmarks. Throws Usage when there are not as many labels as reports.
std::string comparison(std::span<const std::vector<EvalResult>> reports, std::span<const std::string> labels);

}  // namespace moellava
