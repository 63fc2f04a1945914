#include "eval/questions.hpp"

#include <string_view>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

namespace {

constexpr uint64_t kLargestFile = 1ull << 30;
constexpr uint64_t kLongestLine = 1ull << 20;
constexpr std::string_view kImageMarker = "<image>";

Json question_id(const JsonObject& record) {
  const Json& id = record.at("question_id");
  if (!id.is_number_integer() && !id.is_string()) {
    throw bad_data(record.where() + ": question_id", "wrong type",
                   {.found = id.type_name(), .expected = "an integer or a string"});
  }
  return id;
}

std::string non_empty(const JsonObject& record, std::string_view key) {
  std::string value = record.string(key);
  if (value.empty()) throw bad_data(record.where() + ": " + std::string(key), "empty");
  return value;
}

Question parse_question(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where, {.bytes = kLongestLine, .depth = 16});
  const JsonObject record(json, where);
  Question question{.id = question_id(record),
                    .image = record.has("image") ? non_empty(record, "image") : "",
                    .text = non_empty(record, "text"),
                    .category = record.string_or("category", ""),
                    .answer = record.string_or("answer", ""),
                    .where = where};
  // The runner puts the picture first; a marker left in the text would be read as plain words.
  if (question.text.find(kImageMarker) != std::string::npos) {
    throw bad_data(where + ": text", "holds an <image> marker",
                   {.hint = "the picture is named by the field image and stands before the question"});
  }
  return question;
}

}  // namespace

std::vector<Question> read_questions(const std::filesystem::path& path) {
  const std::string content = read_file(path, kLargestFile);
  std::string_view rest = content;
  std::vector<Question> questions;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    questions.push_back(parse_question(line, path.string() + ":" + std::to_string(number)));
  }
  if (questions.empty()) throw bad_data(path.string(), "no questions in it");
  return questions;
}

}  // namespace moellava
