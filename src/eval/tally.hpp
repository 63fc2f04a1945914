// Scores of single answers to scores of categories.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/task.hpp"

namespace moellava {

// The tallies, by name of the category, and their sum; the answers themselves are kept.
Scores tally(std::vector<Graded> graded);

// Wilson's 95 % confidence interval of a share: `correct` of `questions`. (0, 1) without questions.
std::pair<double, double> confidence_interval(double correct, int64_t questions);

// A mean score of `graded` that papers print: `percent`, computed as the benchmark's own script does. Its
// interval is Wilson's when every answer is right or wrong, and else the bootstrap's.
Published published_mean(std::string name, double percent, std::span<const Graded> graded);

}  // namespace moellava
