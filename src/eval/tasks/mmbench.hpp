// MMBench, English and Chinese: multiple choice in a table with columns index, question, hint, A to D,
// answer (not in test files), category and image (base64, or the index of the row that has it).
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& mmbench_task();
const Task& mmbench_cn_task();

// The letter of `options` ("ABCD") that an answer begins with, alone or before what is no letter or digit:
// "B", "B. a dog", "(B)"; 0 for another answer.
char chosen_option(std::string_view answer, std::string_view options);

// The rows of the table that the original uploads as a spreadsheet: without the columns that the server has,
// and with the answer as column `prediction`, the seventh.
std::vector<std::vector<std::string>> mmbench_upload(const TaskInput& input, std::span<const Answer> answers);

}  // namespace moellava
