// What the MoE-LLaVA paper (arXiv 2401.15947) reports, beside what was found here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/result_file.hpp"

namespace moellava {

// Markdown: a row for each report (one model's results), and below them the paper's rows (its Table 3), in
// columns for those of its benchmarks that the reports have, or for all where they have none; and the same
// for POPE's categories (Table 4) where a report has them. `labels` [reports] name the reports.
std::string published_tables(std::span<const std::vector<EvalResult>> reports,
                             std::span<const std::string> labels);

}  // namespace moellava
