// TextVQA: reading text in pictures. Questions in LLaVA's JSON lines, three lines each with the OCR tokens,
// whose question_id is the picture's; the ten human answers in TextVQA_0.5.1_val.json.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& text_vqa_task();

// The question inside a prompt, in lower case. Throws BadData naming `where` for another form of prompt.
std::string text_vqa_question(std::string_view prompt, const std::string& where);

}  // namespace moellava
