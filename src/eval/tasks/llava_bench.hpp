// LLaVA-Bench (in the wild): free answers, which a language model compares with GPT-4's. In one folder
// questions.jsonl {question_id, image, category, text}, context.jsonl {image, caption} and answers_gpt4.jsonl
// {question_id, text}.
#pragma once

#include <optional>
#include <utility>

#include "eval/task.hpp"

namespace moellava {

const Task& llava_bench_task();

// The two scores, 1 to 10, of a verdict's first line, "8 6" or "8, 6": the reference's and the model's.
std::optional<std::pair<double, double>> llava_bench_scores(std::string_view verdict);

}  // namespace moellava
