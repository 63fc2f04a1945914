// VQAv2 and VizWiz: open questions whose truth is only on the benchmarks' servers. Questions in LLaVA's JSON
// lines; answers are normalised for the server.
#pragma once

#include "eval/task.hpp"

namespace moellava {

// The annotations are llava_vqav2_mscoco_test2015.jsonl: the server takes an answer for each of its ids, and
// those that are not asked are empty.
const Task& vqav2_task();
const Task& vizwiz_task();

}  // namespace moellava
