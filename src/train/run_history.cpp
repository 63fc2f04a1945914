#include "train/run_history.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "train/checkpoint.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr const char* kState = "trainer_state.json";
constexpr size_t kMostExperts = 4096;  // of all layers together: more cannot be seen

fs::path state_file(const fs::path& run) {
  if (!fs::is_directory(run)) return run;
  if (fs::exists(run / kState)) return run / kState;
  const std::vector<int64_t> steps = checkpoint_steps(run);
  if (!steps.empty()) return checkpoint_folder(run, steps.front()) / kState;
  throw make_error(ErrorKind::Io, printable(run.string()), "holds no history of a run",
                   {.expected = std::string(kState) + " or checkpoints"});
}

// One entry's field as a point, when it is there.
void add(std::vector<Point>& points, const JsonObject& entry, double step, const char* field) {
  if (entry.has(field)) points.push_back({step, entry.number(field)});
}

// A list of numbers; throws naming the field.
const Json& list_of(const Json& value, const JsonObject& entry, const char* field, bool numbers) {
  const bool good = value.is_array() && std::all_of(value.begin(), value.end(), [&](const Json& item) {
                      return numbers ? item.is_number() : item.is_array();
                    });
  if (!good) throw bad_data(entry.where() + ": " + field, "not a list of numbers for each layer");
  return value;
}

void add_routing(RunHistory& history, const JsonObject& entry, double step) {
  if (entry.has("dropped")) {
    const Json& shares = list_of(entry.at("dropped"), entry, "dropped", /*numbers=*/true);
    double sum = 0;
    for (const Json& share : shares) sum += share.get<double>();
    if (!shares.empty()) history.dropped.push_back({step, sum / static_cast<double>(shares.size())});
  }
  if (!entry.has("expert_load")) return;
  const Json& layers = list_of(entry.at("expert_load"), entry, "expert_load", /*numbers=*/false);
  history.load.resize(std::max(history.load.size(), layers.size()));
  size_t all = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Json& shares = list_of(layers[l], entry, "expert_load", /*numbers=*/true);
    auto& layer = history.load[l];
    layer.resize(std::max(layer.size(), shares.size()));
    all += layer.size();
    if (all > kMostExperts) {
      throw limit_error(entry.where() + ": expert_load", "too many experts",
                        {.expected = "at most " + std::to_string(kMostExperts)});
    }
    for (size_t e = 0; e < shares.size(); ++e) layer[e].push_back({step, shares[e].get<double>()});
  }
}

}  // namespace

RunHistory read_history(const fs::path& run) {
  const fs::path file = state_file(run);
  RunHistory history;
  const Json json = read_state_json(file);
  const JsonObject state(json, printable(file.string()));
  const Json& entries = state.at("log_history");
  if (!entries.is_array()) throw bad_data(state.where() + ": log_history", "not a list");
  for (size_t i = 0; i < entries.size(); ++i) {
    const JsonObject entry(entries[i], state.where() + ": log_history[" + std::to_string(i) + "]");
    const auto step = static_cast<double>(entry.integer("step", 0, INT64_MAX));
    add(history.loss, entry, step, "loss");
    add(history.learning_rate, entry, step, "learning_rate");
    add(history.balance_loss, entry, step, "aux_loss");
    add_routing(history, entry, step);
  }
  if (history.loss.empty())
    throw bad_data(state.where() + ": log_history", "holds no losses", {.hint = "see train --logging_steps"});
  return history;
}

}  // namespace moellava
