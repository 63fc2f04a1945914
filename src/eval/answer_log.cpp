#include "eval/answer_log.hpp"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/fnv1a.hpp"
#include "base/random.hpp"
#include "eval/json_lines.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

// As long as the original's shortuuid, but the same for the same model and line, so that equal runs write
// equal files.
std::string answer_id(const std::string& model_id, uint64_t line) {
  constexpr std::string_view alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  std::string id(22, ' ');
  Fnv1a hash;
  hash.add(model_id);
  for (size_t i = 0; i < id.size(); ++i)
    id[i] = alphabet[random_bits(hash.value(), line, i) % alphabet.size()];
  return id;
}

void require_same(const Answer& answer, const char* field, const std::string& found,
                  const std::string& expected) {
  if (found == expected) return;
  throw bad_data(answer.where + ": " + field, "answers of another run",
                 {.found = "\"" + printable(found) + "\"",
                  .expected = "\"" + printable(expected) + "\"",
                  .hint = "give another --answers file, or remove this one"});
}

}  // namespace

AnswerLog::AnswerLog(fs::path path, const Task& task, const std::vector<Question>& questions,
                     std::string model_id, std::string settings)
    : path_(std::move(path)),
      task_(task),
      questions_(questions),
      model_id_(std::move(model_id)),
      settings_(std::move(settings)),
      texts_(questions.size()) {
  if (path_.empty()) return;
  if (fs::exists(path_)) read_earlier_answers();
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_) throw io_error(path_.string(), "cannot be written", errno);
}

void AnswerLog::read_earlier_answers() {
  const std::vector<Answer> earlier = read_answers(path_);
  for (const Answer& answer : earlier) {
    require_same(answer, "model_id", answer.model_id, model_id_);
    require_same(answer, "metadata: settings", answer.settings, settings_);
  }
  const std::vector<const Answer*> matched = match_answers(questions_, earlier, task_.marks_pictures);
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] == nullptr) continue;
    if (matched[i]->prompt != recorded_prompt(questions_[i], task_.marks_pictures)) {
      throw bad_data(matched[i]->where + ": prompt", "not what is asked now",
                     {.hint = "give another --answers file, or remove this one"});
    }
    texts_[i] = matched[i]->text;
  }
  // What is appended must begin a line of its own; a line whose break alone was lost is whole.
  finish();
}

void AnswerLog::add(size_t question, const std::string& text) {
  texts_[question] = replace_invalid_utf8(text);
  if (path_.empty()) return;
  file_ << line(question) << std::flush;
  if (!file_) throw io_error(path_.string(), "cannot be written", errno);
}

void AnswerLog::finish() const {
  if (path_.empty()) return;
  std::string lines;
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (has(i)) lines += line(i);
  }
  write_file_atomic(path_, lines);
}

std::vector<Answer> AnswerLog::answers() const {
  std::vector<Answer> answers;
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (!has(i)) continue;
    answers.push_back({.question_id = questions_[i].id,
                       .prompt = recorded_prompt(questions_[i], task_.marks_pictures),
                       .text = *texts_[i],
                       .model_id = model_id_,
                       .settings = settings_,
                       .where = questions_[i].where});
  }
  return answers;
}

std::string AnswerLog::line(size_t question) const {
  nlohmann::ordered_json record;
  record["question_id"] = questions_[question].id;
  record["prompt"] = recorded_prompt(questions_[question], task_.marks_pictures);
  record["text"] = *texts_[question];
  record["answer_id"] = answer_id(model_id_, question);
  record["model_id"] = model_id_;
  record["metadata"] = {{"settings", settings_}};
  return record.dump() + "\n";
}

}  // namespace moellava
