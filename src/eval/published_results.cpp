#include "eval/published_results.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "base/string_printf.hpp"
#include "eval/report.hpp"
#include "eval/text_table.hpp"

namespace moellava {

namespace {

struct Benchmark {
  std::string_view task;
  std::string_view name;
};
constexpr std::array<Benchmark, 10> kBenchmarks = {{{"vqav2", "VQAv2"},
                                                    {"gqa", "GQA"},
                                                    {"vizwiz", "VizWiz"},
                                                    {"scienceqa", "SQA-I"},
                                                    {"textvqa", "TextVQA"},
                                                    {"pope", "POPE"},
                                                    {"mme", "MME"},
                                                    {"mmbench", "MMB"},
                                                    {"llava_bench", "LLaVA-W"},
                                                    {"mm_vet", "MM-Vet"}}};

struct PaperRow {
  std::string_view model;
  std::string_view active;
  int resolution;
  std::array<double, kBenchmarks.size()> scores;
};
// Four experts in every other layer, two of them for a token.
constexpr std::array<PaperRow, 7> kPaper = {{
    {"MoE-LLaVA-1.6B", "2.0 B", 336, {76.7, 60.3, 36.2, 62.6, 50.1, 85.7, 1318.2, 60.2, 86.8, 26.9}},
    {"MoE-LLaVA-1.8B", "2.2 B", 336, {76.2, 61.5, 32.6, 63.1, 48.0, 87.0, 1291.6, 59.7, 88.7, 25.3}},
    {"MoE-LLaVA-2.7B", "3.6 B", 336, {77.6, 61.4, 43.9, 68.5, 51.4, 86.3, 1423.0, 65.2, 94.1, 34.3}},
    {"MoE-LLaVA-1.6B-384", "2.0 B", 384, {78.6, 61.5, 40.5, 63.9, 54.3, 85.9, 1335.7, 63.3, 90.3, 32.3}},
    {"MoE-LLaVA-2.7B-384", "3.6 B", 384, {79.9, 62.6, 43.7, 70.3, 57.0, 85.7, 1431.3, 68.0, 97.3, 35.9}},
    {"LLaVA-1.5-7B", "6.7 B", 336, {78.5, 62.0, 50.0, 66.8, 58.2, 85.9, 1510.7, 64.3, 63.4, 30.5}},
    {"LLaVA-1.5-13B", "13 B", 336, {80.0, 63.3, 53.6, 71.6, 61.3, 85.9, 1531.3, 67.7, 70.7, 35.4}},
}};

constexpr std::array<std::string_view, 3> kCategories = {"adversarial", "popular", "random"};
struct PopeRow {
  std::string_view model;
  // By category: accuracy, F1 and share of yes, in percent, as printed. (Those of the 1.6B model look as if
  // adversarial and popular were exchanged.)
  std::array<std::array<double, 3>, kCategories.size()> figures;
};
constexpr std::array<PopeRow, 6> kPope = {{
    {"MoE-LLaVA-1.6B", {{{86.9, 85.7, 41.7}, {85.3, 84.2, 43.5}, {88.0, 87.1, 41.6}}}},
    {"MoE-LLaVA-1.8B", {{{86.1, 85.4, 44.9}, {88.6, 87.7, 42.5}, {88.7, 88.0, 43.0}}}},
    {"MoE-LLaVA-2.7B", {{{85.9, 84.9, 43.2}, {87.5, 86.4, 41.8}, {88.5, 87.7, 41.8}}}},
    {"MoE-LLaVA-1.6B-384", {{{86.9, 85.6, 41.5}, {85.7, 84.6, 43.0}, {88.4, 87.5, 41.5}}}},
    {"MoE-LLaVA-2.7B-384", {{{85.5, 84.2, 41.9}, {86.7, 84.4, 41.7}, {87.9, 86.9, 40.6}}}},
    {"LLaVA-1.5-13B", {{{85.5, 84.4, 43.3}, {87.4, 86.2, 41.3}, {88.0, 87.1, 41.7}}}},
}};

const EvalResult* find_task_in(const std::vector<EvalResult>& report, std::string_view task) {
  for (const EvalResult& result : report) {
    if (result.task == task && !result.scored_elsewhere) return &result;
  }
  return nullptr;
}

std::string score_text(double score) {
  return string_printf("%.1f", score);
}

std::string main_table(std::span<const std::vector<EvalResult>> reports,
                       std::span<const std::string> labels) {
  std::vector<size_t> columns;
  for (size_t i = 0; i < kBenchmarks.size(); ++i) {
    if (std::any_of(reports.begin(), reports.end(), [&](const std::vector<EvalResult>& report) {
          return find_task_in(report, kBenchmarks[i].task) != nullptr;
        }))
      columns.push_back(i);
  }
  if (columns.empty()) {
    columns.resize(kBenchmarks.size());
    std::iota(columns.begin(), columns.end(), size_t{0});
  }
  std::vector<Row> rows{{"model", "active", "resolution"}};
  for (const size_t column : columns) rows[0].emplace_back(kBenchmarks[column].name);
  for (size_t r = 0; r < reports.size(); ++r) {
    const EvalResult& any = reports[r].front();
    Row& row = rows.emplace_back(Row{cell(labels[r]),
                                     any.parameters.total > 0 ? count_text(any.parameters.active) : "-",
                                     any.image_size > 0 ? std::to_string(any.image_size) : "-"});
    for (const size_t column : columns) {
      const EvalResult* result = find_task_in(reports[r], kBenchmarks[column].task);
      row.push_back(result != nullptr ? score_text(headline(result->scores).value) : "-");
    }
  }
  for (const PaperRow& paper : kPaper) {
    Row& row = rows.emplace_back(
        Row{std::string(paper.model), std::string(paper.active), std::to_string(paper.resolution)});
    for (const size_t column : columns) row.push_back(score_text(paper.scores[column]));
  }
  return aligned(rows, /*markdown=*/true);
}

std::string pope_text(double accuracy, double f1, double yes) {
  return string_printf("%.1f / %.1f / %.1f", accuracy, f1, yes);
}

std::optional<double> figure_of(const EvalResult& result, std::string_view group_name,
                                std::string_view name) {
  for (const FigureGroup& group : result.scores.figures) {
    for (const Figure& figure : group.figures) {
      if (group.name == group_name && figure.name == name) return figure.value;
    }
  }
  return std::nullopt;
}

std::string pope_table(std::span<const std::vector<EvalResult>> reports,
                       std::span<const std::string> labels) {
  std::vector<Row> rows{{"POPE: accuracy / F1 / yes"}};
  for (const std::string_view category : kCategories) rows[0].emplace_back(category);
  for (size_t r = 0; r < reports.size(); ++r) {
    const EvalResult* pope = find_task_in(reports[r], "pope");
    if (pope == nullptr) continue;
    Row& row = rows.emplace_back(Row{cell(labels[r])});
    for (const std::string_view category : kCategories) {
      const auto accuracy = figure_of(*pope, category, "accuracy"), f1 = figure_of(*pope, category, "f1"),
                 yes = figure_of(*pope, category, "yes_ratio");
      row.push_back(accuracy && f1 && yes ? pope_text(100 * *accuracy, 100 * *f1, 100 * *yes) : "-");
    }
  }
  if (rows.size() == 1) return "";
  for (const PopeRow& paper : kPope) {
    Row& row = rows.emplace_back(Row{std::string(paper.model)});
    for (const auto& figures : paper.figures) row.push_back(pope_text(figures[0], figures[1], figures[2]));
  }
  return "\n" + aligned(rows, /*markdown=*/true);
}

}  // namespace

std::string published_tables(std::span<const std::vector<EvalResult>> reports,
                             std::span<const std::string> labels) {
  return main_table(reports, labels) + pope_table(reports, labels);
}

}  // namespace moellava
