// Results for people: of one model, on one benchmark and on several.
#pragma once

#include <span>
#include <string>

#include "eval/result_file.hpp"

namespace moellava {

// What one benchmark says, category by category.
std::string result_table(const EvalResult& result, bool markdown = false);

// A line for each benchmark: the score that papers print, or the accuracy where they print none, with its 95
// % interval. All results are of one model.
std::string overview_table(std::span<const EvalResult> results, bool markdown = false);

// Both, as a Markdown page.
std::string markdown_report(std::span<const EvalResult> results);

// What papers print, or the accuracy in percent.
Published headline(const Scores& scores);

}  // namespace moellava
