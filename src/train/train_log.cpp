#include "train/train_log.hpp"

#include <cmath>
#include <cstdio>
#include <numeric>

namespace moellava {

namespace {

// Shares of many layers and experts in every entry: four digits are more than a picture shows.
double rounded(double value) {
  return std::round(value * 1e4) / 1e4;
}

// Zeros when there were no tokens of this kind.
Json shares(const ExpertLoad& load) {
  const auto all = std::accumulate(load.chosen.begin(), load.chosen.end(), int64_t{0});
  Json list = Json::array();
  for (int64_t count : load.chosen)
    list.push_back(rounded(static_cast<double>(count) / static_cast<double>(std::max<int64_t>(all, 1))));
  return list;
}

void add_loads(const std::vector<LayerLoads>& loads, Json& entry) {
  for (const LayerLoads& layer : loads) {
    ExpertLoad all = layer.text;
    all += layer.image;
    const auto tokens = static_cast<double>(std::max<int64_t>(all.tokens, 1));
    const auto choices = std::accumulate(all.chosen.begin(), all.chosen.end(), int64_t{0});
    entry["expert_load"].push_back(shares(all));
    entry["expert_load_text"].push_back(shares(layer.text));
    entry["expert_load_image"].push_back(shares(layer.image));
    entry["router_entropy"].push_back(rounded(all.entropy / tokens));
    entry["dropped"].push_back(
        rounded(static_cast<double>(all.dropped) / static_cast<double>(std::max<int64_t>(choices, 1))));
  }
}

// Numbers by tag; lists count from 1, the outer one the layers, the inner one the experts.
void add_scalars(const std::string& tag, const Json& value, const char* kind, std::vector<Scalar>& scalars) {
  if (value.is_number()) scalars.push_back({tag, value.get<double>()});
  if (!value.is_array()) return;
  for (size_t i = 0; i < value.size(); ++i)
    add_scalars(tag + "/" + kind + "_" + std::to_string(i + 1), value[i], "expert", scalars);
}

}  // namespace

Json log_entry(const StepReport& report, int64_t steps_per_epoch) {
  Json entry = {{"step", report.step},
                {"epoch", static_cast<double>(report.step) / static_cast<double>(steps_per_epoch)},
                {"learning_rate", report.learning_rate}};
  if (report.bad) {
    entry.update({{"skipped", true},
                  {"reason", report.bad->what},
                  {"tensor", report.bad->tensor},
                  {"samples", report.bad->samples}});
    return entry;
  }
  entry.update({{"loss", report.loss}, {"grad_norm", report.grad_norm}, {"tokens", report.tokens}});
  if (report.loads.empty()) return entry;
  entry["aux_loss"] = report.aux_loss;
  entry["z_loss"] = report.z_loss;
  add_loads(report.loads, entry);
  return entry;
}

std::vector<Scalar> log_scalars(const Json& entry) {
  std::vector<Scalar> scalars;
  for (const auto& [field, value] : entry.items()) {
    // Scalars as HF's Trainer names them; one group of charts for each list.
    if (value.is_array())
      add_scalars(field, value, "layer", scalars);
    else if (field != "step")
      add_scalars("train/" + field, value, "", scalars);
  }
  return scalars;
}

std::string ProgressNote::update(const StepReport& report) {
  if (report.bad) return "left out: " + report.bad->what;
  tokens_ += report.tokens;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  char aux[32] = "";
  if (!report.loads.empty()) std::snprintf(aux, sizeof aux, "  aux %.3f", report.aux_loss);
  char note[96];
  std::snprintf(note, sizeof note, "loss %.4f%s  %.0f tokens/s", report.loss, aux,
                static_cast<double>(tokens_) / seconds);
  return note;
}

}  // namespace moellava
