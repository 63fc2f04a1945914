// Asks a model all questions of a benchmark.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/task.hpp"
#include "model/moe_llava.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

struct RunOptions {
  std::filesystem::path image_folder;
  bool blank_images = false;  // every picture replaced by a plain one: what is known without seeing
  int64_t max_new_tokens = 12;
  MoeRun moe = {};
};

// The answers, greedy, in the order of the questions; questions about one picture are asked in a row, so that
// the engine reuses what it has of the picture. Errors name the question's file and line. Shows progress.
std::vector<std::string> answer_questions(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
                                          const std::vector<Question>& questions, const RunOptions& options);

}  // namespace moellava
