// How far an answer agrees with ten people's: the accuracy of VQAv2, VizWiz and TextVQA.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace moellava {

constexpr size_t kPeople = 10;

// Each person in turn is left out: the mean over them of how many of the others agree, three being enough.
// All answers are normalised already. An answer that nobody gave has 0.
inline double vqa_agreement(const std::string& answer, const std::vector<std::string>& people) {
  double sum = 0;
  for (size_t left_out = 0; left_out < people.size(); ++left_out) {
    int agreeing = 0;
    for (size_t i = 0; i < people.size(); ++i) agreeing += i != left_out && people[i] == answer;
    sum += std::min(1.0, agreeing / 3.0);
  }
  return sum / static_cast<double>(people.size());
}

}  // namespace moellava
