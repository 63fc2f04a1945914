#include "eval/runner.hpp"

#include <chrono>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "eval/answer_text.hpp"
#include "eval/prepare.hpp"

namespace moellava {

RunCost answer_questions(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
                         const std::vector<Question>& questions, const RunOptions& options, AnswerLog& log) {
  Engine engine(model, tokenizer);
  QuestionPictures pictures(model, options.image_folder, options.blank_images, task.center_crop);
  GenerateRequest request;
  request.max_new_tokens = options.max_new_tokens;
  request.stop_ids = stop_ids(model, tokenizer);
  request.stop = stop_texts(model, tokenizer);
  request.moe = options.moe;
  request.on_routing = options.on_routing;

  std::vector<size_t> order = picture_order(questions);
  std::erase_if(order, [&](size_t i) { return log.has(i); });
  const auto total = static_cast<int64_t>(questions.size());
  const int64_t earlier = total - static_cast<int64_t>(order.size());
  Progress progress(options.blank_images ? "asking, blanked" : "asking", total, earlier);
  RunCost cost;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i : order) {
    const Question& question = questions[i];
    if (options.on_question) options.on_question(question);
    request.features = pictures.features(question);
    request.ids = question_ids(model, tokenizer, question.text, request.features.defined());
    try {
      // White space around an answer is how the model separates it, not what it says.
      log.add(i, std::string(trimmed(engine.generate(request).text)));
    } catch (const Error& error) {
      throw Error(error.kind(), question.where + ": " + error.what());
    }
    cost.images += request.features.defined();
    progress.update(earlier + ++cost.questions);
  }
  cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log.finish();
  return cost;
}

}  // namespace moellava
