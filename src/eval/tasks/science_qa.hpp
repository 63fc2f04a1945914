// ScienceQA: multiple choice, of which papers print the accuracy on the questions with a picture. Questions
// as LLaVA's llava_test_CQM-A.json has them; the truth in a folder with problems.json and pid_splits.json.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& science_qa_task();

// The letter that an answer chooses, as the original's script finds it; 0 when it finds none.
char science_qa_choice(std::string_view answer);

}  // namespace moellava
