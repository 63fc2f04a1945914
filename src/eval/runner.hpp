// Asks a model all questions of a benchmark.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "eval/answer_log.hpp"
#include "eval/task.hpp"
#include "generate/engine.hpp"

namespace moellava {

struct RunOptions {
  std::filesystem::path image_folder;
  bool blank_images = false;  // every picture replaced by a plain one: what is known without seeing
  int64_t max_new_tokens = 12;
  size_t batch_size = 1;  // questions that are answered at once
  MoeRun moe = {};
  // Called before each question, and as GenerateRequest::on_routing while it is answered. For batches of one.
  std::function<void(const Question&)> on_question = {};
  RoutingListener on_routing = {};
};

// What a run did now, without what an earlier one had done.
struct RunCost {
  int64_t questions = 0;
  int64_t images = 0;  // questions with one
  double seconds = 0;
};

// Asks, greedily, those of the log's questions that have no answer yet, and adds the answers; questions about
// one picture are asked in a row or together, so that the picture is run once. A batch is the same whatever
// has been answered before: of one that was interrupted all questions are asked again, so that a run that was
// stopped says to the last bit what one that was not would have said. Errors name the question's file and
// line. Shows progress.
RunCost answer_questions(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
                         const std::vector<Question>& questions, const RunOptions& options, AnswerLog& log);

}  // namespace moellava
