// Answer files: JSON lines as LLaVA's evaluation writes them, for its scripts and for the benchmarks'
// servers: {"question_id", "prompt", "text", "answer_id", "model_id", "metadata"}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "eval/questions.hpp"

namespace moellava {

struct Answer {
  Json question_id;
  std::string prompt = {};
  std::string text = {};
  std::string model_id = {};  // "" when the file does not say
  std::string settings = {};  // metadata.settings, "" when the file does not say
  std::string where = {};     // "file:line", or the question's, for errors
};

// Answers made here or elsewhere. Throws BadData naming file, line and field. A last line without a line
// break that is no JSON was cut off and is left out. Others that are no JSON are refused, or with
// `skip_broken` left out, too.
std::vector<Answer> read_answers(const std::filesystem::path& path, bool skip_broken = false);

// For each question its answer, matched by id, and by id and prompt where an id is used more than once; null
// where there is none. Throws BadData for an answer to none of the questions and for a second answer.
std::vector<const Answer*> match_answers(std::span<const Question> questions, std::span<const Answer> answers,
                                         bool marks_pictures = false);

// match_answers where every question must have one, unless `partial`.
std::vector<const Answer*> require_answers(std::span<const Question> questions,
                                           std::span<const Answer> answers, bool partial,
                                           bool marks_pictures = false);

// What the record of a question's answer has as its prompt: the text, with "<image>\n" before it when
// `marks_pictures` and there is one.
std::string recorded_prompt(const Question& question, bool marks_pictures);

}  // namespace moellava
