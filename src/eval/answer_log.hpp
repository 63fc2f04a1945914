// The answers of a run as they come, kept so that a run that was stopped, however it was stopped, goes on.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "eval/task.hpp"

namespace moellava {

class AnswerLog {
 public:
  // Reads what `path` has, if it is there ("" keeps the answers in memory only), and cuts off a line that was
  // not written to its end. Throws BadData when the file is another model's, was made with other settings or
  // holds an answer to none of `questions`, which must outlive the log. `settings` is all that changes
  // answers beside model and questions.
  AnswerLog(std::filesystem::path path, const Task& task, const std::vector<Question>& questions,
            std::string model_id, std::string settings);

  bool has(size_t question) const { return texts_[question].has_value(); }
  // Written through to the file before it returns. Text that is no UTF-8 is made so.
  void add(size_t question, const std::string& text);
  // Puts the file into the order of the questions, atomically.
  void finish() const;
  // Those that there are, in the order of the questions.
  std::vector<Answer> answers() const;

 private:
  void read_earlier_answers();
  std::string line(size_t question) const;

  std::filesystem::path path_;
  const Task& task_;
  const std::vector<Question>& questions_;
  std::string model_id_;
  std::string settings_;
  std::vector<std::optional<std::string>> texts_;  // [questions]
  std::ofstream file_;
};

}  // namespace moellava
