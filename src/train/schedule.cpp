#include "train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"

namespace moellava {

ScheduleKind schedule_by_name(std::string_view name, std::string_view where) {
  if (name == "cosine") return ScheduleKind::Cosine;
  if (name == "constant") return ScheduleKind::Constant;
  throw usage_error(where, "unknown schedule",
                    {.found = "\"" + printable(name) + "\"", .expected = "cosine or constant"});
}

const char* schedule_name(ScheduleKind kind) {
  return kind == ScheduleKind::Cosine ? "cosine" : "constant";
}

double Schedule::learning_rate(int64_t step) const {
  const auto share = [](int64_t part, int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
  };
  if (step < warmup_steps) return peak * share(step, warmup_steps);
  if (kind == ScheduleKind::Constant) return peak;
  const double progress = share(step - warmup_steps, total_steps - warmup_steps);
  return peak * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

int64_t warmup_steps(double ratio, int64_t total_steps) {
  return static_cast<int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

}  // namespace moellava
