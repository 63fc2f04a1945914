// Scores of single answers to scores of categories.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "eval/task.hpp"

namespace moellava {

struct Graded {
  std::string category;
  std::string truth;  // "" where several answers are true
  double score = 0;   // 0 to 1
};

// The tallies, by name of the category, and their sum.
Scores tally(const std::vector<Graded>& graded);

// Wilson's 95 % confidence interval of a share: `correct` of `questions`. (0, 1) without questions.
std::pair<double, double> confidence_interval(double correct, int64_t questions);

}  // namespace moellava
