// What a benchmark is: how its questions are read and its answers scored. One file in tasks/ each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/answers.hpp"
#include "eval/judge.hpp"
#include "eval/questions.hpp"

namespace moellava {

// How many of a group of questions were answered right, by the model and by always giving the group's most
// frequent true answer.
struct Tally {
  std::string category;
  int64_t questions = 0;
  double correct = 0;                            // a sum of scores in [0, 1]: whole numbers, but for TextVQA
  std::optional<int64_t> majority_correct = {};  // none where an answer is not simply right or wrong
  std::string majority_answer = {};              // "" for the sum over several categories

  double accuracy() const { return questions > 0 ? correct / static_cast<double>(questions) : 0.0; }
};

// One answer, scored.
struct Graded {
  std::string category;
  std::string truth;         // "" where several answers are true
  double score = 0;          // 0 to 1
  double reference = 1;      // what the score is measured by: that of a right answer, or of another's answer
  std::string id = {};       // of the question, by which two models are compared
  std::string picture = {};  // questions about one picture succeed and fail together; "": stands alone
};

// The one number that papers print for a benchmark, with its 95 % confidence interval.
struct Published {
  std::string name;
  double value = 0;
  double low = 0, high = 0;
  std::string method;  // of the interval: "Wilson" or "bootstrap"
};

// A number as the benchmark's own script prints it.
struct Figure {
  std::string name;
  double value = 0;
};

struct FigureGroup {
  std::string name;  // "adversarial"
  std::vector<Figure> figures;
};

struct Scores {
  Tally overall;                    // sums of the categories: its majority baseline knows the category
  std::vector<Tally> categories;    // by name
  int64_t yes_no_questions = 0;     // whose true answer is yes or no
  int64_t yes_no_unclear = 0;       // of these, answered with neither word
  std::optional<double> yes_ratio;  // share of these answered yes; none without such questions
  std::optional<Published> published;
  std::vector<FigureGroup> figures;
  std::vector<Graded> graded;
};

// What an evaluation is given.
struct TaskInput {
  std::filesystem::path questions = {};
  std::filesystem::path annotations =
      {};                 // the truth, where the benchmark keeps it apart: a file or a folder
  bool circular = false;  // MMBench: every rotation of the options is asked
  bool partial = false;   // not every question need have an answer
};

// Where the published archives keep things, relative to their common folder; "" for what is not needed.
struct TaskLayout {
  std::string_view questions;
  std::string_view annotations;
  std::string_view images;
};

struct Task {
  std::string_view name;
  TaskLayout layout = {};
  // The picture is resized and its centre cut out, as the original's runner for this benchmark does; else as
  // the model was trained.
  bool center_crop = false;
  // Recorded prompts begin with "<image>\n" when there is a picture (ScienceQA's tell by it).
  bool marks_pictures = false;
  // Lines of an answer file that are no JSON count as not given, as in the original's conversion.
  bool skips_broken_answers = false;
  // `score` and `submission` read only the answers and the annotations.
  bool scored_without_questions = false;
  bool rotates_options = false;  // TaskInput::circular means something
  std::string_view submission_suffix = ".json";
  int64_t max_new_tokens = 128;
  // The text of a question is all that is said after the picture.
  std::vector<Question> (*load)(const TaskInput& input) = nullptr;
  // Null where a judge or the benchmark's server scores. Throws BadData naming the answer's line or the file
  // of the truth.
  Scores (*score)(const TaskInput& input, std::span<const Answer> answers) = nullptr;
  // Where a language model judges: what it is asked about each answer, in the words of `instruction`, or in
  // ours where that is "".
  std::vector<JudgeRequest> (*judge_requests)(const TaskInput& input, std::span<const Answer> answers,
                                              const std::string& instruction) = nullptr;
  Understands understands = nullptr;
  // Of the verdicts on the answers, in their order.
  Scores (*score_judged)(const TaskInput& input, std::span<const Answer> answers,
                         std::span<const std::string> verdicts) = nullptr;
  // The file that the benchmark's server or judge takes; null where there is none.
  std::string (*submission)(const TaskInput& input, std::span<const Answer> answers) = nullptr;
};

// Throws Usage for a name that is no benchmark's.
const Task& find_task(std::string_view name);
std::vector<std::string> task_names();

}  // namespace moellava
