#include "eval/comparison.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "eval/paired.hpp"
#include "eval/text_table.hpp"

namespace moellava {

namespace {

const Tally* find_category(const EvalResult& result, const std::string& category) {
  for (const Tally& tally : result.scores.categories) {
    if (tally.category == category) return &tally;
  }
  return nullptr;
}

// Categories of all results, in order of first appearance.
std::vector<std::string> categories_of(std::span<const EvalResult> results) {
  std::vector<std::string> names;
  for (const EvalResult& result : results) {
    for (const Tally& tally : result.scores.categories) {
      if (std::find(names.begin(), names.end(), tally.category) == names.end())
        names.push_back(tally.category);
    }
  }
  return names;
}

// Benchmarks that are scored, in order of first appearance.
std::vector<std::string> tasks_of(std::span<const std::vector<EvalResult>> reports) {
  std::vector<std::string> tasks;
  for (const std::vector<EvalResult>& report : reports) {
    for (const EvalResult& result : report) {
      if (!result.scored_elsewhere && std::find(tasks.begin(), tasks.end(), result.task) == tasks.end())
        tasks.push_back(result.task);
    }
  }
  return tasks;
}

template <typename CellOf>
Row row_of(const std::string& name, std::span<const EvalResult> results, const CellOf& cell_of) {
  Row row{name};
  for (const EvalResult& result : results) row.push_back(cell_of(result));
  return row;
}

}  // namespace

std::string comparison_table(std::span<const EvalResult> results, std::span<const std::string> labels) {
  std::vector<Row> rows{{""}};
  for (const std::string& label : labels) rows[0].push_back(cell(label));
  using R = const EvalResult&;
  rows.push_back(
      row_of("**overall**", results, [](R r) { return "**" + percent(r.scores.overall.accuracy()) + "**"; }));
  for (const std::string& category : categories_of(results)) {
    rows.push_back(row_of(cell(category), results, [&](R r) {
      const Tally* tally = find_category(r, category);
      return tally != nullptr ? percent(tally->accuracy()) : "-";
    }));
  }
  rows.push_back(row_of("majority answer", results, [](R r) {
    return r.scores.overall.majority_correct ? percent(majority_share(r.scores.overall)) : "-";
  }));
  rows.push_back(row_of("yes ratio", results,
                        [](R r) { return r.scores.yes_ratio ? percent(*r.scores.yes_ratio) : "-"; }));
  if (std::any_of(results.begin(), results.end(), [](R r) { return r.scores.published.has_value(); })) {
    rows.push_back(row_of("published score", results, [](R r) {
      return r.scores.published ? string_printf("%.1f", r.scores.published->value) : "-";
    }));
  }
  rows.push_back(
      row_of("questions", results, [](R r) { return std::to_string(r.scores.overall.questions); }));
  rows.push_back(row_of("parameters, total", results, [](R r) { return count_text(r.parameters.total); }));
  rows.push_back(row_of("parameters, active", results, [](R r) { return count_text(r.parameters.active); }));
  return aligned(rows, /*markdown=*/true);
}

std::string paired_lines(std::span<const EvalResult> results, std::span<const std::string> labels) {
  std::string text;
  const auto first = scores_by_id(results[0].scores.graded);
  for (size_t i = 1; i < results.size(); ++i) {
    const std::string pair = printable(labels[0]) + " against " + printable(labels[i]) + ": ";
    const std::optional<Paired> paired = compare_pairs(first, scores_by_id(results[i].scores.graded));
    if (!paired) {
      text += pair + "not the same questions\n";
      continue;
    }
    text += pair + string_printf(
                       "%+.2f points (95 %% interval %+.2f to %+.2f); better in %lld, worse in %lld of %lld "
                       "questions, p = %.2g (%s)\n",
                       paired->difference, paired->low, paired->high,
                       static_cast<long long>(paired->first_better),
                       static_cast<long long>(paired->second_better),
                       static_cast<long long>(paired->questions), paired->p, paired->test.c_str());
  }
  return text;
}

std::string comparison(std::span<const std::vector<EvalResult>> reports,
                       std::span<const std::string> labels) {
  if (labels.size() != reports.size()) {
    throw usage_error("--labels", "not one for each result",
                      {.found = std::to_string(labels.size()), .expected = std::to_string(reports.size())});
  }
  const std::vector<std::string> tasks = tasks_of(reports);
  std::string text;
  for (const std::string& task : tasks) {
    std::vector<EvalResult> results;
    std::vector<std::string> heads;
    for (size_t i = 0; i < reports.size(); ++i) {
      for (const EvalResult& result : reports[i]) {
        if (result.task != task || result.scored_elsewhere) continue;
        results.push_back(result);
        heads.push_back(labels[i]);
      }
    }
    if (tasks.size() > 1) text += (text.empty() ? "## " : "\n## ") + task + "\n\n";
    text += comparison_table(results, heads);
    if (results.size() > 1) text += "\n" + paired_lines(results, heads);
  }
  return text;
}

}  // namespace moellava
