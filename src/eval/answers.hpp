// Answer files: JSON lines as LLaVA's evaluation writes them, for its scripts and for the benchmarks'
// servers.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "eval/task.hpp"

namespace moellava {

// {"question_id", "prompt", "text", "answer_id", "model_id", "metadata": {}} a line, in the order of the
// questions; written atomically. `answers` [questions].
void write_answers(const std::filesystem::path& path, const Task& task, std::span<const Question> questions,
                   std::span<const std::string> answers, const std::string& model_id);

}  // namespace moellava
