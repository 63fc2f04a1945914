// GQA: compositional questions. The official testdev_balanced_questions.json is both the questions and the
// truth; the prompts are those of LLaVA's question file, which was made from it.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& gqa_task();

// What the official script compares: without the periods at the end, in lower case.
std::string gqa_prediction(std::string_view answer);

}  // namespace moellava
