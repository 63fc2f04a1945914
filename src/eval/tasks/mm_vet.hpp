// MM-Vet: free answers, which a language model compares with the truth. Questions in LLaVA's JSON lines; the
// truth and the abilities that a question needs in mm-vet.json {"v1_0": {"question", "answer",
// "capability"}}.
#pragma once

#include <optional>

#include "eval/task.hpp"

namespace moellava {

const Task& mm_vet_task();

// The score, 0 to 1, that a verdict begins with.
std::optional<double> mm_vet_score(std::string_view verdict);

}  // namespace moellava
