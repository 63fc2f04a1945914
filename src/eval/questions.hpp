// Question files: JSON lines as LLaVA's evaluation writes them, one question a line:
//   {"question_id": 7, "image": "a.png", "text": "Is there a dog?", "category": "presence", "answer": "no"}
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace moellava {

struct Question {
  Json id;               // integer or string, written back as it came; need not be unique (TextVQA's is not)
  std::string image;     // path below the image folder, "" for a question without a picture
  std::string text;      // without the "<image>" marker
  std::string category;  // "" when the file has none
  std::string answer;    // the truth, "" when the file has none
  std::string where;     // "file:line", for errors
  // The picture's file itself, where the question file holds it (MMBench); `image` is then only its name.
  std::shared_ptr<const std::string> picture = nullptr;
};

// The field of `record`, an integer or a string. Throws BadData naming it.
Json question_id(const JsonObject& record, std::string_view key);

// An id as text, be it written as a number or as a string: published files have both.
std::string id_text(const Json& id);

// Throws BadData naming file, line and field; Limit for a file above 1 GiB or a line above 1 MiB.
std::vector<Question> read_questions(const std::filesystem::path& path);

}  // namespace moellava
