// What a benchmark is: how its questions are read, asked and scored. One file in tasks/ each.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/questions.hpp"

namespace moellava {

// How many of a group of questions were answered right, by the model and by always giving the group's most
// frequent true answer.
struct Tally {
  std::string category;
  int64_t questions = 0;
  int64_t correct = 0;
  int64_t majority_correct = 0;
  std::string majority_answer;  // "" for the sum over several categories

  double accuracy() const { return share(correct); }
  double majority() const { return share(majority_correct); }
  double share(int64_t n) const {
    return questions > 0 ? static_cast<double>(n) / static_cast<double>(questions) : 0.0;
  }
};

struct Scores {
  Tally overall;                    // sums of the categories: its majority baseline knows the category
  std::vector<Tally> categories;    // by name
  int64_t yes_no_questions = 0;     // whose true answer is yes or no
  int64_t yes_no_unclear = 0;       // of these, answered with neither word
  std::optional<double> yes_ratio;  // share of these answered yes; none without such questions
};

struct Task {
  std::string_view name;
  std::vector<Question> (*load)(const std::filesystem::path& file);
  // What the user says after the picture.
  std::string (*prompt)(const Question& question);
  // `answers` [questions], as the model gave them.
  Scores (*score)(std::span<const Question> questions, std::span<const std::string> answers);
};

}  // namespace moellava
