// What a run tells about its steps: log_history for plot scripts, the note behind the progress bar.
#pragma once

#include <chrono>
#include <string>

#include "base/json.hpp"
#include "train/trainer.hpp"

namespace moellava {

// One entry of log_history, with HF's field names where it has them. expert_load [L][E]: share of a layer's
// choices; dropped [L]: share of them lost to full experts. That of a bad step has no loss, but `skipped`,
// `reason`, `tensor` and `samples`.
Json log_entry(const StepReport& report, int64_t steps_per_epoch);

class ProgressNote {
 public:
  // "loss 1.83  aux 0.041  812 tokens/s"
  std::string update(const StepReport& report);

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t tokens_ = 0;
};

}  // namespace moellava
