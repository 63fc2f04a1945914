#include "eval/tasks/mmbench.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/base64.hpp"
#include "base/error.hpp"
#include "eval/answer_text.hpp"
#include "eval/spreadsheet.hpp"
#include "eval/tally.hpp"
#include "files/table.hpp"

namespace moellava {

namespace {

// What a rotation of the options adds to the index, as in MMBench's own circular tables.
constexpr int64_t kRotation = 1'000'000;
constexpr std::string_view kLetters = "ABCD";

// What pandas, with which the original reads the table, takes for a missing value, and what the original
// itself does. ("Na" is sodium.)
bool is_none(const std::string& value) {
  constexpr std::string_view missing[] = {"",       "#N/A",    "#NA",     "#N/A N/A", "<NA>", "N/A",
                                          "n/a",    "NA",      "NULL",    "null",     "-nan", "-NaN",
                                          "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"};
  if (std::find(std::begin(missing), std::end(missing), value) != std::end(missing)) return true;
  const std::string lower = lower_case(value);
  return lower == "nan" || lower == "none";
}

int64_t integer(const std::string& text, const std::string& where) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < 0) {
    throw bad_data(where, "not an index", {.found = "\"" + printable(text) + "\"", .expected = "0 or more"});
  }
  return value;
}

// The options of a row, up to the first that is missing.
std::vector<std::string> options_of(const Table& table, size_t row) {
  std::vector<std::string> options;
  for (const char letter : kLetters) {
    const std::string column(1, letter);
    if (!table.has(column) || is_none(table.field(row, column))) break;
    options.push_back(table.field(row, column));
  }
  if (options.size() < 2) throw bad_data(table.where(row) + ": B", "a question with less than two options");
  return options;
}

// The right option, 0 to 3; -1 where the table does not say.
int64_t answer_of(const Table& table, size_t row, size_t options) {
  if (!table.has("answer") || is_none(table.field(row, "answer"))) return -1;
  const std::string& answer = table.field(row, "answer");
  const size_t place = answer.size() == 1 ? kLetters.find(answer[0]) : std::string_view::npos;
  if (place >= options) {
    throw bad_data(table.where(row) + ": answer", "not the letter of an option",
                   {.found = "\"" + printable(answer) + "\""});
  }
  return static_cast<int64_t>(place);
}

class Pictures {
 public:
  explicit Pictures(const Table& table) : table_(table) {
    for (size_t row = 0; row < table.rows(); ++row) rows_[table.field(row, "index")] = row;
  }

  // Name and file of a row's picture.
  std::pair<std::string, std::shared_ptr<const std::string>> of(size_t row) {
    std::string name = table_.field(row, "index");
    const std::string where = table_.where(row) + ": image";
    // Rows with the same picture may name the row that has it.
    if (const std::string& image = table_.field(row, "image"); image.size() <= 16 && rows_.contains(image)) {
      name = image;
      row = rows_[image];
    }
    std::shared_ptr<const std::string>& file = files_[name];
    if (file == nullptr)
      file = std::make_shared<std::string>(decode_base64(table_.field(row, "image"), where));
    if (file->empty()) throw bad_data(where, "empty");
    return {name, file};
  }

 private:
  const Table& table_;
  std::unordered_map<std::string, size_t> rows_;
  std::unordered_map<std::string, std::shared_ptr<const std::string>> files_;
};

std::string text_of(const Table& table, size_t row, const std::vector<std::string>& options,
                    std::string_view suffix) {
  std::string text;
  if (table.has("hint") && !is_none(table.field(row, "hint"))) text = table.field(row, "hint") + "\n";
  text += table.field(row, "question");
  for (size_t i = 0; i < options.size(); ++i) text += std::string("\n") + kLetters[i] + ". " + options[i];
  return text + "\n" + std::string(suffix);
}

// A question for each row; with input.circular for each rotation of its options, to the left.
std::vector<Question> load_with(const TaskInput& input, std::string_view suffix) {
  const Table table(input.questions);
  if (table.rows() == 0) throw bad_data(input.questions.string(), "no questions in it");
  Pictures pictures(table);
  std::vector<Question> questions;
  for (size_t row = 0; row < table.rows(); ++row) {
    const int64_t index = integer(table.field(row, "index"), table.where(row) + ": index");
    std::vector<std::string> options = options_of(table, row);
    const auto count = static_cast<int64_t>(options.size());
    const int64_t right = answer_of(table, row, options.size());
    const auto [name, file] = pictures.of(row);
    for (int64_t round = 0; round < (input.circular ? count : 1); ++round) {
      const int64_t place = (right - round + count) % count;
      questions.push_back({.id = index + round * kRotation,
                           .image = name,
                           .text = text_of(table, row, options, suffix),
                           .category = table.has("category") ? table.field(row, "category") : "all",
                           .answer = right < 0 ? "" : std::string(1, kLetters[static_cast<size_t>(place)]),
                           .where = table.where(row),
                           .picture = file});
      std::rotate(options.begin(), options.begin() + 1, options.end());
    }
  }
  return questions;
}

std::vector<Question> load_english(const TaskInput& input) {
  return load_with(input, "Answer with the option's letter from the given choices directly.");
}

std::vector<Question> load_chinese(const TaskInput& input) {
  return load_with(input, "请直接回答选项字母。");
}

// A question is right when each of its rotations is.
Scores score(const TaskInput& input, std::span<const Answer> answers) {
  const std::vector<Question> questions = load_english(input);
  const std::vector<const Answer*> matched = require_answers(questions, answers, input.partial);
  std::vector<Graded> graded;
  std::unordered_map<int64_t, size_t> first;  // of the rotations of a question: its place in `graded`
  for (size_t i = 0; i < questions.size(); ++i) {
    if (matched[i] == nullptr) continue;
    if (questions[i].answer.empty()) {
      throw bad_data(questions[i].where + ": answer", "missing",
                     {.hint = "a test file is scored by MMBench's server: give --submission"});
    }
    const char choice = chosen_option(matched[i]->text, kLetters);
    const double right = choice == questions[i].answer[0] ? 1.0 : 0.0;
    const auto [place, is_new] = first.try_emplace(questions[i].id.get<int64_t>() % kRotation, graded.size());
    if (is_new) {
      graded.push_back({.category = questions[i].category,
                        .truth = questions[i].answer,
                        .score = right,
                        .id = id_text(questions[i].id)});
    } else {
      graded[place->second].score = std::min(graded[place->second].score, right);
    }
  }
  Scores scores = tally(std::move(graded));
  scores.published = published_mean("accuracy", 100 * scores.overall.accuracy(), scores.graded);
  return scores;
}

std::string submission(const TaskInput& input, std::span<const Answer> answers) {
  return spreadsheet(mmbench_upload(input, answers));
}

}  // namespace

char chosen_option(std::string_view answer, std::string_view options) {
  const size_t at = answer.find_first_not_of(" \t\r\n(\"'");
  if (at == std::string_view::npos || options.find(answer[at]) == std::string_view::npos) return '\0';
  const auto is_word = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  // "A dog is seen" is a sentence, not a choice.
  const std::string_view rest = answer.substr(at + 1);
  const bool alone = rest.empty() || (!is_word(rest[0]) && rest[0] != ' ' && rest[0] != '\'');
  return alone ? answer[at] : '\0';
}

std::vector<std::vector<std::string>> mmbench_upload(const TaskInput& input,
                                                     std::span<const Answer> answers) {
  constexpr std::string_view dropped[] = {"hint", "category", "source", "image", "comment", "l2-category"};
  const Table table(input.questions);
  std::unordered_map<std::string, const Answer*> given;
  for (const Answer& answer : answers) given[answer.question_id.dump()] = &answer;
  std::vector<std::string> columns;
  for (const std::string& column : table.columns()) {
    if (std::find(std::begin(dropped), std::end(dropped), column) == std::end(dropped))
      columns.push_back(column);
  }
  columns.insert(columns.begin() + std::min<std::ptrdiff_t>(6, std::ssize(columns)), "prediction");
  std::vector<std::vector<std::string>> rows = {columns};
  for (size_t row = 0; row < table.rows(); ++row) {
    const auto answer = given.find(table.field(row, "index"));
    if (answer == given.end() && !input.partial)
      throw bad_data(table.where(row) + ": index", "has no answer");
    if (answer == given.end()) continue;
    std::vector<std::string>& fields = rows.emplace_back();
    for (const std::string& column : columns)
      fields.push_back(column == "prediction" ? answer->second->text : table.field(row, column));
  }
  return rows;
}

const Task& mmbench_task() {
  static constexpr Task task{.name = "mmbench",
                             .layout = {"mmbench/mmbench_dev_20230712.tsv", "", ""},
                             .rotates_options = true,
                             .submission_suffix = ".xlsx",
                             .max_new_tokens = 1024,
                             .load = load_english,
                             .score = score,
                             .submission = submission};
  return task;
}

const Task& mmbench_cn_task() {
  static constexpr Task task{.name = "mmbench_cn",
                             .layout = {"mmbench/mmbench_dev_cn_20231003.tsv", "", ""},
                             .rotates_options = true,
                             .submission_suffix = ".xlsx",
                             .max_new_tokens = 1024,
                             .load = load_chinese,
                             .score = score,
                             .submission = submission};
  return task;
}

}  // namespace moellava
