// SEED-Bench: multiple choice about pictures and frames of videos. Questions in LLaVA's JSON lines; the truth
// in SEED-Bench.json.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& seed_bench_task();

}  // namespace moellava
