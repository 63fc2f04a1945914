#include "eval/runner.hpp"

#include "base/error.hpp"
#include "base/progress.hpp"
#include "eval/prepare.hpp"
#include "generate/engine.hpp"

namespace moellava {

namespace {

// White space around an answer is how the model separates it, not what it says.
std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

}  // namespace

std::vector<std::string> answer_questions(const MoeLlava& model, const Tokenizer& tokenizer, const Task& task,
                                          const std::vector<Question>& questions, const RunOptions& options) {
  Engine engine(model, tokenizer);
  QuestionPictures pictures(model, options.image_folder, options.blank_images);
  GenerateRequest request;
  request.max_new_tokens = options.max_new_tokens;
  request.stop_ids = stop_ids(model, tokenizer);
  request.stop = stop_texts(model, tokenizer);
  request.moe = options.moe;

  std::vector<std::string> answers(questions.size());
  Progress progress(options.blank_images ? "asking, blanked" : "asking",
                    static_cast<int64_t>(questions.size()));
  int64_t done = 0;
  for (size_t i : picture_order(questions)) {
    const Question& question = questions[i];
    request.features = pictures.features(question);
    request.ids = question_ids(model, tokenizer, task.prompt(question), request.features.defined());
    try {
      answers[i] = trimmed(engine.generate(request).text);
    } catch (const Error& error) {
      throw Error(error.kind(), question.where + ": " + error.what());
    }
    progress.update(++done);
  }
  return answers;
}

}  // namespace moellava
