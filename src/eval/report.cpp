#include "eval/report.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/string_printf.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr int64_t kMost = int64_t{1} << 50;  // a bound for every count in a result file

double majority_share(const Tally& tally) {
  return tally.questions > 0
             ? static_cast<double>(tally.majority_correct.value_or(0)) / static_cast<double>(tally.questions)
             : 0.0;
}

Json tally_json(const Tally& tally) {
  const auto [low, high] = confidence_interval(tally.correct, tally.questions);
  Json json = {{"questions", tally.questions},
               {"correct", tally.correct},
               {"accuracy", tally.accuracy()},
               {"confidence_95", {low, high}}};
  if (tally.majority_correct) {
    json["majority"] = majority_share(tally);
    json["majority_correct"] = *tally.majority_correct;
    json["majority_answer"] = tally.majority_answer;
  }
  return json;
}

// Counts are what is read; the shares beside them are for people and scripts.
Tally read_tally(const std::string& category, const JsonObject& json) {
  Tally tally{.category = category, .majority_answer = json.string_or("majority_answer", "")};
  tally.questions = json.integer("questions", 0, kMost);
  tally.correct = json.number("correct");
  if (tally.correct < 0 || tally.correct > static_cast<double>(tally.questions)) {
    throw bad_data(json.where() + ": correct", "wrong type or range",
                   {.expected = "0 to " + std::to_string(tally.questions)});
  }
  if (json.has("majority_correct"))
    tally.majority_correct = json.integer("majority_correct", 0, tally.questions);
  return tally;
}

Json figures_json(const std::vector<FigureGroup>& groups) {
  Json json = Json::object();
  for (const FigureGroup& group : groups) {
    for (const Figure& figure : group.figures) json[group.name][figure.name] = figure.value;
  }
  return json;
}

double images_per_second(const RunCost& cost) {
  return cost.seconds > 0 ? static_cast<double>(cost.images) / cost.seconds : 0.0;
}

std::string percent(double share) {
  return string_printf("%.1f %%", 100 * share);
}

// 134515008 -> "134.5 M"
std::string count_text(int64_t number) {
  const auto value = static_cast<double>(number);
  if (number >= 1'000'000'000) return string_printf("%.2f B", value / 1e9);
  if (number >= 1'000'000) return string_printf("%.1f M", value / 1e6);
  return std::to_string(number);
}

using Row = std::vector<std::string>;

// A label may hold anything; in a table it may not open a column or a line.
std::string cell(const std::string& label) {
  std::string text;
  for (char c : printable(label)) text.append(c == '|' ? "\\" : "").push_back(c);
  return text;
}

// Characters, not bytes, so that "größer" lines up.
size_t text_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, text_width(text)), ' ');
  return right ? space + text : text + space;
}

// The first column to the left, the others to the right.
std::string aligned(const std::vector<Row>& rows, bool markdown) {
  std::vector<size_t> widths(rows[0].size(), 3);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_width(row[i]));
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      line += markdown ? "| " : (i == 0 ? "" : "  ");
      line += padded(rows[r][i], widths[i], i > 0) + (markdown ? " " : "");
    }
    text += line + (markdown ? "|\n" : "\n");
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string rule(widths[i], '-');
      if (markdown) {
        text += i == 0 ? "|-" + rule + "-" : "|-" + rule + ":";
      } else {
        text += (i == 0 ? "" : "  ") + rule;
      }
    }
    text += markdown ? "|\n" : "\n";
  }
  return text;
}

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
std::string figure_tables(std::span<const FigureGroup> groups) {
  std::string text;
  while (!groups.empty()) {
    const auto other = std::find_if(groups.begin(), groups.end(), [&](const FigureGroup& group) {
      return !same_names(group, groups.front());
    });
    const auto alike = groups.first(static_cast<size_t>(other - groups.begin()));
    std::vector<Row> rows{{""}};
    for (const FigureGroup& group : alike) rows[0].push_back(group.name);
    for (size_t i = 0; i < alike.front().figures.size(); ++i) {
      Row& row = rows.emplace_back(Row{cell(alike.front().figures[i].name)});
      for (const FigureGroup& group : alike) row.push_back(string_printf("%.4g", group.figures[i].value));
    }
    text += "\n" + aligned(rows, /*markdown=*/false);
    groups = groups.subspan(alike.size());
  }
  return text;
}

std::string model_lines(const EvalResult& result) {
  const std::string size =
      result.image_size > 0 ? "pictures " + std::to_string(result.image_size) + " px" : "text only";
  std::string text = "parameters " + count_text(result.parameters.total) + " total, " +
                     count_text(result.parameters.active) + " active; " + size +
                     (result.blank_images ? ", every one blanked" : "") + "\n";
  if (result.cost.images > 0)
    text += string_printf("%.2f images/s over %lld questions\n", images_per_second(result.cost),
                          static_cast<long long>(result.cost.questions));
  return text;
}

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

template <typename CellOf>
Row row_of(const std::string& name, std::span<const EvalResult> results, const CellOf& cell_of) {
  Row row{name};
  for (const EvalResult& result : results) row.push_back(cell_of(result));
  return row;
}

// The figures of a benchmark's own script are for its readers; a comparison needs the published one.
Scores read_scores(const JsonObject& json) {
  Scores scores;
  scores.overall = read_tally("overall", json.object("overall"));
  const JsonObject categories = json.object("categories");
  for (const auto& item : categories.raw().items())
    scores.categories.push_back(read_tally(item.key(), categories.object(item.key())));
  scores.yes_no_questions = json.integer("yes_no_questions", 0, kMost);
  scores.yes_no_unclear = json.integer("yes_no_unclear", 0, scores.yes_no_questions);
  if (json.has("yes_ratio")) scores.yes_ratio = json.number("yes_ratio");
  if (json.has("published")) {
    const JsonObject published = json.object("published");
    scores.published = Figure{published.string("name"), published.number("value")};
  }
  return scores;
}

}  // namespace

Json result_json(const EvalResult& result) {
  const Scores& scores = result.scores;
  Json categories = Json::object();
  for (const Tally& tally : scores.categories) categories[tally.category] = tally_json(tally);
  return {{"model", result.model},
          {"task", result.task},
          {"question_file", result.questions},
          {"blank_images", result.blank_images},
          {"image_size", result.image_size},
          {"parameters",
           {{"total", result.parameters.total},
            {"active", result.parameters.active},
            {"decoder_total", result.parameters.decoder_total},
            {"decoder_active", result.parameters.decoder_active}}},
          {"asked", result.cost.questions},
          {"asked_images", result.cost.images},
          {"seconds", result.cost.seconds},
          {"images_per_second", images_per_second(result.cost)},
          {"overall", tally_json(scores.overall)},
          {"categories", std::move(categories)},
          {"yes_no_questions", scores.yes_no_questions},
          {"yes_no_unclear", scores.yes_no_unclear},
          {"yes_ratio", scores.yes_ratio ? Json(*scores.yes_ratio) : Json()},
          {"published", scores.published
                            ? Json{{"name", scores.published->name}, {"value", scores.published->value}}
                            : Json()},
          {"figures", figures_json(scores.figures)}};
}

EvalResult read_result(const std::filesystem::path& path) {
  const Json file = read_json(path);
  const JsonObject json(file, path.string());
  EvalResult result{.model = json.string("model"),
                    .task = json.string("task"),
                    .questions = json.string("question_file"),
                    .blank_images = json.boolean_or("blank_images", false),
                    .image_size = json.integer("image_size", 0, 1 << 20),
                    .parameters = {},
                    .cost = {.questions = json.integer_or("asked", 0, 0, kMost),
                             .images = json.integer_or("asked_images", 0, 0, kMost),
                             .seconds = json.number("seconds")},
                    .scores = {}};
  const JsonObject parameters = json.object("parameters");
  result.parameters = {.total = parameters.integer("total", 0, kMost),
                       .active = parameters.integer("active", 0, kMost),
                       .decoder_total = parameters.integer("decoder_total", 0, kMost),
                       .decoder_active = parameters.integer("decoder_active", 0, kMost)};
  result.scores = read_scores(json);
  return result;
}

std::string result_table(const EvalResult& result) {
  const Scores& scores = result.scores;
  std::vector<Row> rows{{"category", "questions", "accuracy", "95 % interval", "majority", "most frequent"}};
  for (const Tally& tally : scores.categories) rows.push_back(tally_row(tally));
  rows.push_back(tally_row(scores.overall));
  std::string text = aligned(rows, /*markdown=*/false);
  text += figure_tables(scores.figures);
  if (scores.published)
    text += string_printf("\n%s %.2f\n", scores.published->name.c_str(), scores.published->value);
  if (scores.yes_ratio) {
    text += "\nyes ratio " + percent(*scores.yes_ratio) + " of " + std::to_string(scores.yes_no_questions) +
            " yes/no questions, " + std::to_string(scores.yes_no_unclear) + " answered with neither\n";
  }
  return text + (result.parameters.total > 0 ? model_lines(result) : "");
}

std::string comparison_table(std::span<const EvalResult> results, std::span<const std::string> labels) {
  if (labels.size() != results.size()) {
    throw usage_error("--labels", "not one for each result",
                      {.found = std::to_string(labels.size()), .expected = std::to_string(results.size())});
  }
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

}  // namespace moellava
