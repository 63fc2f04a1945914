#include "eval/runner.hpp"

#include <algorithm>
#include <chrono>
#include <span>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "eval/answer_text.hpp"
#include "eval/prepare.hpp"
#include "generate/batch.hpp"
#include "generate/engine.hpp"

namespace moellava {

namespace {

// The questions of a benchmark as requests, and their answers as its answers.
class Asker {
 public:
  Asker(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
        const std::vector<Question>& questions, const RunOptions& options, AnswerLog& log)
      : model_(model),
        tokenizer_(tokenizer),
        questions_(questions),
        log_(log),
        engine_(model, tokenizer),
        pictures_(model, options.image_folder, options.blank_images, task.center_crop),
        on_question_(options.on_question) {
    like_.max_new_tokens = options.max_new_tokens;
    like_.stop_ids = stop_ids(model, tokenizer);
    like_.stop = stop_texts(model, tokenizer);
    like_.moe = options.moe;
    like_.on_routing = options.on_routing;
  }

  // Asks the questions of one batch, given by number. `on_answer` is told of each that had no answer before.
  template <typename OnAnswer>
  void ask(std::span<const size_t> batch, const OnAnswer& on_answer) {
    std::vector<GenerateRequest> requests;
    for (const size_t i : batch) requests.push_back(request(questions_[i]));
    const auto add = [&](size_t b, const GenerateResult& answer) {
      if (log_.has(batch[b])) return;
      // White space around an answer is how the model separates it, not what it says.
      log_.add(batch[b], std::string(trimmed(answer.text)));
      on_answer(requests[b].features.defined());
    };
    if (requests.size() == 1) {
      if (on_question_) on_question_(questions_[batch[0]]);
      add(0, engine_.generate(requests[0]));
    } else {
      generate_batch(model_, tokenizer_, requests, add);
    }
  }

 private:
  GenerateRequest request(const Question& question) {
    GenerateRequest asked = like_;
    asked.features = pictures_.features(question);
    asked.ids = question_ids(model_, tokenizer_, question.text, asked.features.defined());
    try {
      prompt_positions(model_, asked);
    } catch (const Error& error) {
      throw Error(error.kind(), question.where + ": " + error.what());
    }
    return asked;
  }

  const MoeLlava& model_;
  const Tokenizer& tokenizer_;
  const std::vector<Question>& questions_;
  AnswerLog& log_;
  Engine engine_;
  QuestionPictures pictures_;
  std::function<void(const Question&)> on_question_;
  GenerateRequest like_;  // what all requests have in common
};

}  // namespace

RunCost answer_questions(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
                         const std::vector<Question>& questions, const RunOptions& options, AnswerLog& log) {
  Asker asker(model, tokenizer, task, questions, options, log);
  const std::vector<size_t> order = picture_order(questions);
  const auto earlier = std::count_if(order.begin(), order.end(), [&](size_t i) { return log.has(i); });
  Progress progress(std::string(task.name) + (options.blank_images ? ", blanked" : ""), std::ssize(questions),
                    earlier);
  RunCost cost;
  const auto start = std::chrono::steady_clock::now();
  for (size_t first = 0; first < order.size(); first += options.batch_size) {
    const auto batch = std::span(order).subspan(first, std::min(options.batch_size, order.size() - first));
    if (std::all_of(batch.begin(), batch.end(), [&](size_t i) { return log.has(i); })) continue;
    asker.ask(batch, [&](bool pictured) {
      cost.images += pictured ? 1 : 0;
      progress.update(earlier + ++cost.questions);
    });
  }
  cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log.finish();
  return cost;
}

}  // namespace moellava
