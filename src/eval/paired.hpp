// Two models on the same questions: is one better, or was it chance?
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace moellava {

struct Paired {
  int64_t questions = 0;
  int64_t first_better = 0, second_better = 0;  // questions that only one has right, or more of
  double difference = 0;                        // first less second, in percent
  double low = 0, high = 0;                     // its 95 % interval, by bootstrap over the questions
  double p = 1;                                 // of a difference this large without a better model
  std::string test;                             // that p comes from
};

// Scores by question. None when these are not the same questions. The test is McNemar's, exact, when every
// answer is right or wrong, and else a permutation test: the signs of the differences are drawn 10000 times.
std::optional<Paired> compare_pairs(const std::map<std::string, double>& first,
                                    const std::map<std::string, double>& second);

// McNemar's exact test, two-sided: how likely `a` against `b`, or something more uneven, is of a fair coin.
double mcnemar_p(int64_t a, int64_t b);

}  // namespace moellava
