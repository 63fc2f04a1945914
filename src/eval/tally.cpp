#include "eval/tally.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "eval/bootstrap.hpp"

namespace moellava {

Scores tally(std::vector<Graded> graded) {
  struct Group {
    Tally tally;
    std::map<std::string, int64_t> truths;
  };
  std::map<std::string, Group> groups;
  for (const Graded& answer : graded) {
    Group& group = groups[answer.category];
    ++group.tally.questions;
    group.tally.correct += answer.score;
    if (!answer.truth.empty()) ++group.truths[answer.truth];
  }
  Scores scores;
  scores.overall.category = "overall";
  int64_t majorities = 0;
  bool has_majority = !groups.empty();
  for (auto& [name, group] : groups) {
    group.tally.category = name;
    // By name, so that ties do not depend on the order of the questions.
    const auto most = std::max_element(group.truths.begin(), group.truths.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most != group.truths.end()) {
      group.tally.majority_answer = most->first;
      group.tally.majority_correct = most->second;
      majorities += most->second;
    }
    has_majority = has_majority && most != group.truths.end();
    scores.overall.questions += group.tally.questions;
    scores.categories.push_back(group.tally);
  }
  // In the order of the answers: sums of shares depend on it.
  for (const Graded& answer : graded) scores.overall.correct += answer.score;
  if (has_majority) scores.overall.majority_correct = majorities;
  scores.graded = std::move(graded);
  return scores;
}

std::pair<double, double> confidence_interval(double correct, int64_t questions) {
  if (questions <= 0) return {0.0, 1.0};
  constexpr double z = 1.959963984540054;  // 97.5 % quantile of the normal distribution
  const auto n = static_cast<double>(questions);
  const double share = correct / n;
  const double centre = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

Published published_mean(std::string name, double percent, std::span<const Graded> graded) {
  double correct = 0;
  for (const Graded& answer : graded) correct += answer.score;
  const bool right_or_wrong = std::all_of(graded.begin(), graded.end(), [](const Graded& answer) {
    return answer.score == 0 || answer.score == 1;
  });
  Published published{.name = std::move(name), .value = percent, .method = "Wilson"};
  if (right_or_wrong) {
    const auto [low, high] = confidence_interval(correct, std::ssize(graded));
    published.low = 100 * low;
    published.high = 100 * high;
  } else {
    published.method = "bootstrap";
    std::tie(published.low, published.high) = bootstrap_interval(graded, mean_percent);
  }
  return published;
}

}  // namespace moellava
