#include "eval/questions.hpp"

#include <string_view>

#include "base/error.hpp"
#include "eval/json_lines.hpp"

namespace moellava {

namespace {

constexpr std::string_view kImageMarker = "<image>";

std::string non_empty(const JsonObject& record, std::string_view key) {
  std::string value = record.string(key);
  if (value.empty()) throw bad_data(record.where() + ": " + std::string(key), "empty");
  return value;
}

Question parse_question(const JsonObject& record) {
  Question question{.id = question_id(record, "question_id"),
                    .image = record.has("image") ? non_empty(record, "image") : "",
                    .text = non_empty(record, "text"),
                    .category = record.string_or("category", ""),
                    .answer = record.string_or("answer", ""),
                    .where = record.where()};
  // The runner puts the picture first; a marker left in the text would be read as plain words.
  if (question.text.find(kImageMarker) != std::string::npos) {
    throw bad_data(record.where() + ": text", "holds an <image> marker",
                   {.hint = "the picture is named by the field image and stands before the question"});
  }
  return question;
}

}  // namespace

Json question_id(const JsonObject& record, std::string_view key) {
  const Json& id = record.at(key);
  if (!id.is_number_integer() && !id.is_string()) {
    throw bad_data(record.where() + ": " + std::string(key), "wrong type",
                   {.found = id.type_name(), .expected = "an integer or a string"});
  }
  return id;
}

std::string id_text(const Json& id) {
  return id.is_string() ? id.get<std::string>() : id.dump();
}

std::vector<Question> read_questions(const std::filesystem::path& path) {
  std::vector<Question> questions;
  for_each_record(path, [&](const JsonObject& record) { questions.push_back(parse_question(record)); });
  return questions;
}

}  // namespace moellava
