// The learning rate over a run, as transformers' get_cosine_schedule_with_warmup and
// get_constant_schedule_with_warmup define it.
#pragma once

#include <cstdint>
#include <string_view>

namespace moellava {

enum class ScheduleKind { Cosine, Constant };

ScheduleKind schedule_by_name(std::string_view name, std::string_view where);  // throws Usage
const char* schedule_name(ScheduleKind kind);

struct Schedule {
  ScheduleKind kind = ScheduleKind::Cosine;
  double peak = 0;  // the learning rate after warm-up
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;

  // The rate of optimiser step `step`, counted from 0; with warm-up the first one is 0.
  double learning_rate(int64_t step) const;
};

// ceil(ratio * total_steps), as the HF trainer rounds.
int64_t warmup_steps(double ratio, int64_t total_steps);

}  // namespace moellava
