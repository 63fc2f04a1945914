#include "eval/report.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "eval/tally.hpp"
#include "eval/text_table.hpp"

namespace moellava {

namespace {

Row tally_row(const Tally& tally) {
  const auto [low, high] = confidence_interval(tally.correct, tally.questions);
  return {cell(tally.category),
          std::to_string(tally.questions),
          percent(tally.accuracy()),
          string_printf("%.1f to %.1f", 100 * low, 100 * high),
          tally.majority_correct ? percent(majority_share(tally)) : "-",
          cell(tally.majority_answer)};
}

bool same_names(const FigureGroup& a, const FigureGroup& b) {
  return std::equal(a.figures.begin(), a.figures.end(), b.figures.begin(), b.figures.end(),
                    [](const Figure& x, const Figure& y) { return x.name == y.name; });
}

// A table for each run of groups with the same figures, a column for each group.
std::string figure_tables(std::span<const FigureGroup> groups, bool markdown) {
  std::string text;
  while (!groups.empty()) {
    const auto other = std::find_if(groups.begin(), groups.end(), [&](const FigureGroup& group) {
      return !same_names(group, groups.front());
    });
    const auto alike = groups.first(static_cast<size_t>(other - groups.begin()));
    std::vector<Row> rows{{""}};
    for (const FigureGroup& group : alike) rows[0].push_back(cell(group.name));
    for (size_t i = 0; i < alike.front().figures.size(); ++i) {
      Row& row = rows.emplace_back(Row{cell(alike.front().figures[i].name)});
      for (const FigureGroup& group : alike) row.push_back(string_printf("%.4g", group.figures[i].value));
    }
    text += "\n" + aligned(rows, markdown);
    groups = groups.subspan(alike.size());
  }
  return text;
}

std::string parameter_line(const EvalResult& result) {
  if (result.parameters.total == 0) return "";
  const std::string size =
      result.image_size > 0 ? "pictures " + std::to_string(result.image_size) + " px" : "text only";
  return "parameters " + count_text(result.parameters.total) + " total, " +
         count_text(result.parameters.active) + " active; " + size +
         (result.blank_images ? ", every one blanked" : "") + "\n";
}

std::string speed_text(const RunCost& cost) {
  return cost.images > 0 ? string_printf("%.2f", images_per_second(cost)) : "-";
}

}  // namespace

Published headline(const Scores& scores) {
  if (scores.published) return *scores.published;
  const auto [low, high] = confidence_interval(scores.overall.correct, scores.overall.questions);
  return {.name = "accuracy",
          .value = 100 * scores.overall.accuracy(),
          .low = 100 * low,
          .high = 100 * high,
          .method = "Wilson"};
}

std::string result_table(const EvalResult& result, bool markdown) {
  const Scores& scores = result.scores;
  std::vector<Row> rows{{"category", "questions", "accuracy", "95 % interval", "majority", "most frequent"}};
  for (const Tally& tally : scores.categories) rows.push_back(tally_row(tally));
  rows.push_back(tally_row(scores.overall));
  std::string text = aligned(rows, markdown);
  text += figure_tables(scores.figures, markdown);
  if (const std::optional<Published>& published = scores.published) {
    text += string_printf("\n%s %.2f, 95 %% interval %.2f to %.2f (%s)\n", published->name.c_str(),
                          published->value, published->low, published->high, published->method.c_str());
  }
  if (scores.yes_ratio) {
    text += "\nyes ratio " + percent(*scores.yes_ratio) + " of " + std::to_string(scores.yes_no_questions) +
            " yes/no questions, " + std::to_string(scores.yes_no_unclear) + " answered with neither\n";
  }
  if (markdown) return text;
  text += parameter_line(result);
  if (result.cost.images > 0) {
    text += string_printf("%.2f images/s over %lld questions\n", images_per_second(result.cost),
                          static_cast<long long>(result.cost.questions));
  }
  return text;
}

std::string overview_table(std::span<const EvalResult> results, bool markdown) {
  std::vector<Row> rows{
      {"benchmark", "score", "95 % interval", "by", "what", "questions", "yes ratio", "images/s"}};
  for (const EvalResult& result : results) {
    if (result.scored_elsewhere) {
      rows.push_back({cell(result.task), "-", "-", "-", "scored elsewhere",
                      std::to_string(*result.scored_elsewhere), "-", speed_text(result.cost)});
      continue;
    }
    const Published score = headline(result.scores);
    rows.push_back({cell(result.task), string_printf("%.1f", score.value),
                    string_printf("%.1f to %.1f", score.low, score.high), score.method, cell(score.name),
                    std::to_string(result.scores.overall.questions),
                    result.scores.yes_ratio ? percent(*result.scores.yes_ratio) : "-",
                    speed_text(result.cost)});
  }
  const std::string parameters = results.empty() ? "" : parameter_line(results.front());
  return aligned(rows, markdown) + (parameters.empty() ? "" : "\n" + parameters);
}

std::string markdown_report(std::span<const EvalResult> results) {
  std::string text = "# Evaluation of " + printable(results.front().model) + "\n\n" +
                     overview_table(results, /*markdown=*/true);
  for (const EvalResult& result : results) {
    if (!result.scored_elsewhere)
      text += "\n## " + result.task + "\n\n" + result_table(result, /*markdown=*/true);
  }
  return text;
}

}  // namespace moellava
