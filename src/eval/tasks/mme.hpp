// MME: two questions a picture, one to be answered yes and one no. Questions in LLaVA's JSON lines whose ids
// are "subtask/picture"; the truth in the benchmark's own folder, as SUBTASK/questions_answers_YN/NAME.txt or
// SUBTASK/NAME.txt, lines "question <tab> Yes".
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& mme_task();

// "yes", "no" or "other", as the official calculation has it.
std::string_view mme_decision(std::string_view answer);

}  // namespace moellava
