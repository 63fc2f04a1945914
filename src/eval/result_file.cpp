#include "eval/result_file.hpp"

#include "base/error.hpp"
#include "eval/tally.hpp"

namespace moellava {

namespace {

constexpr int64_t kMost = int64_t{1} << 50;  // a bound for every count in a result file
constexpr JsonLimits kLimits{.bytes = 256ull << 20, .depth = 16};

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

Json published_json(const std::optional<Published>& published) {
  if (!published) return {};
  return {{"name", published->name},
          {"value", published->value},
          {"confidence_95", {published->low, published->high}},
          {"method", published->method}};
}

Published read_published(const JsonObject& json) {
  Published published{
      .name = json.string("name"), .value = json.number("value"), .method = json.string("method")};
  const Json& interval = json.at("confidence_95");
  if (!interval.is_array() || interval.size() != 2 || !interval[0].is_number() || !interval[1].is_number())
    throw bad_data(json.where() + ": confidence_95", "wrong type", {.expected = "two numbers"});
  published.low = interval[0];
  published.high = interval[1];
  return published;
}

Json figures_json(const std::vector<FigureGroup>& groups) {
  Json json = Json::object();
  for (const FigureGroup& group : groups) {
    for (const Figure& figure : group.figures) json[group.name][figure.name] = figure.value;
  }
  return json;
}

std::vector<FigureGroup> read_figures(const JsonObject& json) {
  std::vector<FigureGroup> groups;
  for (const auto& item : json.raw().items()) {
    FigureGroup& group = groups.emplace_back(FigureGroup{.name = item.key(), .figures = {}});
    const JsonObject figures = json.object(item.key());
    for (const auto& figure : figures.raw().items())
      group.figures.push_back({figure.key(), figures.number(figure.key())});
  }
  return groups;
}

std::vector<Graded> read_graded(const JsonObject& json) {
  std::vector<Graded> graded;
  for (const auto& item : json.raw().items())
    graded.push_back({.category = "", .truth = "", .score = json.number(item.key()), .id = item.key()});
  return graded;
}

Scores read_scores(const JsonObject& json) {
  Scores scores;
  scores.overall = read_tally("overall", json.object("overall"));
  const JsonObject categories = json.object("categories");
  for (const auto& item : categories.raw().items())
    scores.categories.push_back(read_tally(item.key(), categories.object(item.key())));
  scores.yes_no_questions = json.integer("yes_no_questions", 0, kMost);
  scores.yes_no_unclear = json.integer("yes_no_unclear", 0, scores.yes_no_questions);
  if (json.has("yes_ratio")) scores.yes_ratio = json.number("yes_ratio");
  if (json.has("published")) scores.published = read_published(json.object("published"));
  if (json.has("figures")) scores.figures = read_figures(json.object("figures"));
  if (json.has("graded")) scores.graded = read_graded(json.object("graded"));
  return scores;
}

Json scores_json(const Scores& scores) {
  Json categories = Json::object();
  for (const Tally& tally : scores.categories) categories[tally.category] = tally_json(tally);
  return {{"overall", tally_json(scores.overall)},
          {"categories", std::move(categories)},
          {"yes_no_questions", scores.yes_no_questions},
          {"yes_no_unclear", scores.yes_no_unclear},
          {"yes_ratio", scores.yes_ratio ? Json(*scores.yes_ratio) : Json()},
          {"published", published_json(scores.published)},
          {"figures", figures_json(scores.figures)},
          {"graded", scores_by_id(scores.graded)}};
}

EvalResult read_result(const JsonObject& json) {
  const JsonObject speed = json.object("speed"), parameters = json.object("parameters");
  EvalResult result{.model = json.string("model"),
                    .task = json.string("task"),
                    .questions = json.string("question_file"),
                    .blank_images = json.boolean_or("blank_images", false),
                    .image_size = json.integer("image_size", 0, 1 << 20),
                    .parameters = {.total = parameters.integer("total", 0, kMost),
                                   .active = parameters.integer("active", 0, kMost),
                                   .decoder_total = parameters.integer("decoder_total", 0, kMost),
                                   .decoder_active = parameters.integer("decoder_active", 0, kMost)},
                    .cost = {.questions = speed.integer("asked", 0, kMost),
                             .images = speed.integer("asked_images", 0, kMost),
                             .seconds = speed.number("seconds")},
                    .scores = {}};
  if (json.has("scored_elsewhere")) {
    result.scored_elsewhere = json.integer("scored_elsewhere", 0, kMost);
  } else {
    result.scores = read_scores(json);
  }
  return result;
}

}  // namespace

double majority_share(const Tally& tally) {
  return tally.questions > 0
             ? static_cast<double>(tally.majority_correct.value_or(0)) / static_cast<double>(tally.questions)
             : 0.0;
}

double images_per_second(const RunCost& cost) {
  return cost.seconds > 0 ? static_cast<double>(cost.images) / cost.seconds : 0.0;
}

std::map<std::string, double> scores_by_id(std::span<const Graded> graded) {
  std::map<std::string, double> scores;
  std::map<std::string, int64_t> seen;
  for (const Graded& answer : graded) {
    const int64_t count = ++seen[answer.id];
    scores[answer.id + (count > 1 ? "#" + std::to_string(count) : "")] = answer.score;
  }
  return scores;
}

Json result_json(const EvalResult& result) {
  Json json = {{"model", result.model},
               {"task", result.task},
               {"question_file", result.questions},
               {"blank_images", result.blank_images},
               {"image_size", result.image_size},
               {"parameters",
                {{"total", result.parameters.total},
                 {"active", result.parameters.active},
                 {"decoder_total", result.parameters.decoder_total},
                 {"decoder_active", result.parameters.decoder_active}}},
               {"speed",
                {{"asked", result.cost.questions},
                 {"asked_images", result.cost.images},
                 {"seconds", result.cost.seconds},
                 {"images_per_second", images_per_second(result.cost)}}}};
  if (result.scored_elsewhere) {
    json["scored_elsewhere"] = *result.scored_elsewhere;
  } else {
    json.update(scores_json(result.scores));
  }
  return json;
}

Json report_json(std::span<const EvalResult> results) {
  Json list = Json::array();
  for (const EvalResult& result : results) list.push_back(result_json(result));
  return {{"results", std::move(list)}};
}

std::vector<EvalResult> read_results(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "report.json" : path;
  const Json content = read_json(file, kLimits);
  const JsonObject json(content, file.string());
  if (!json.has("results")) return {read_result(json)};
  const Json& list = json.at("results");
  if (!list.is_array() || list.empty())
    throw bad_data(json.where() + ": results", "wrong type", {.expected = "a list of results"});
  std::vector<EvalResult> results;
  for (size_t i = 0; i < list.size(); ++i)
    results.push_back(
        read_result(JsonObject(list[i], json.where() + ": results[" + std::to_string(i) + "]")));
  return results;
}

}  // namespace moellava
