// LLaVA-Bench (in the wild) and MM-Vet: free answers that a language model judges, which is not done here.
// Questions in LLaVA's JSON lines.
#pragma once

#include "eval/task.hpp"

namespace moellava {

// Its judge reads the answer file itself.
const Task& llava_bench_task();
// Its judge reads {"v1_<question id>": answer}.
const Task& mm_vet_task();

}  // namespace moellava
