#include "train/train_log.hpp"

#include <cstdio>
#include <numeric>

namespace moellava {

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
  if (report.expert_choices.empty()) return entry;
  entry["aux_loss"] = report.aux_loss;
  entry["z_loss"] = report.z_loss;
  for (size_t layer = 0; layer < report.expert_choices.size(); ++layer) {
    const auto& choices = report.expert_choices[layer];
    const auto all = static_cast<double>(std::accumulate(choices.begin(), choices.end(), int64_t{0}));
    Json load = Json::array();
    for (int64_t count : choices) load.push_back(static_cast<double>(count) / all);
    entry["expert_load"].push_back(std::move(load));
    entry["dropped"].push_back(static_cast<double>(report.dropped[layer]) / all);
  }
  return entry;
}

std::string ProgressNote::update(const StepReport& report) {
  if (report.bad) return "left out: " + report.bad->what;
  tokens_ += report.tokens;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  char aux[32] = "";
  if (!report.expert_choices.empty()) std::snprintf(aux, sizeof aux, "  aux %.3f", report.aux_loss);
  char note[96];
  std::snprintf(note, sizeof note, "loss %.4f%s  %.0f tokens/s", report.loss, aux,
                static_cast<double>(tokens_) / seconds);
  return note;
}

}  // namespace moellava
