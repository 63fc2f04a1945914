// Own data with short true answers: exact match after normalisation.
#pragma once

#include "eval/task.hpp"

namespace moellava {

// Every question needs an answer; a missing category is "all".
const Task& short_answer_task();

// Lower case (ASCII), white space collapsed, trailing punctuation and the words a, an, the removed.
std::string normalise_answer(std::string_view text);

// A true answer of yes or no asks only for the first word; any other must be matched whole.
bool is_correct(std::string_view truth, std::string_view answer);

}  // namespace moellava
