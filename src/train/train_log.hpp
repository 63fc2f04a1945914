// What a run tells about its steps: log_history and TensorBoard's scalars, the note behind the progress bar.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "train/event_file.hpp"
#include "train/trainer.hpp"

namespace moellava {

// One entry of log_history, with HF's field names where it has them. Of the tokens that are not padding:
// expert_load [L][E]: share of a layer's choices, expert_load_text and expert_load_image the same for either
// kind alone (zeros when there was none); router_entropy [L]: in bits, log2 E when undecided; dropped [L]:
// share of the choices that found their expert full. That of a bad step has no loss, but `skipped`, `reason`,
// `tensor` and `samples`.
Json log_entry(const StepReport& report, int64_t steps_per_epoch);

// The same for TensorBoard: "train/loss", "expert_load/layer_1/expert_2", "router_entropy/layer_1".
std::vector<Scalar> log_scalars(const Json& entry);

class ProgressNote {
 public:
  // "loss 1.83  aux 0.041  812 tokens/s"
  std::string update(const StepReport& report);

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t tokens_ = 0;
};

}  // namespace moellava
