// A result as an evaluation makes it.
#pragma once

#include "eval/result_file.hpp"

namespace moellava::testing {

inline EvalResult moe_result() {
  EvalResult result{.model = "runs/moe",
                    .task = "short_answer",
                    .questions = "test.jsonl",
                    .image_size = 224,
                    .parameters = {.total = 213'400'000,
                                   .active = 160'200'000,
                                   .decoder_total = 200'000'000,
                                   .decoder_active = 150'000'000},
                    .cost = {.questions = 200, .images = 123, .seconds = 61.5},
                    .scores = {}};
  result.scores.categories = {
      {.category = "count", .questions = 50, .correct = 20, .majority_correct = 15, .majority_answer = "two"},
      {.category = "presence",
       .questions = 150,
       .correct = 120,
       .majority_correct = 75,
       .majority_answer = "no"}};
  result.scores.overall = {
      .category = "overall", .questions = 200, .correct = 140, .majority_correct = 90, .majority_answer = ""};
  result.scores.yes_no_questions = 150;
  result.scores.yes_no_unclear = 3;
  result.scores.yes_ratio = 0.48;
  return result;
}

}  // namespace moellava::testing
