#include "eval/answers.hpp"

#include <nlohmann/json.hpp>

#include "base/file_io.hpp"
#include "base/random.hpp"

namespace moellava {

namespace {

// FNV-1a.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

// As long as the original's shortuuid, but the same for the same model and line, so that equal runs write
// equal files.
std::string answer_id(const std::string& model_id, uint64_t line) {
  constexpr std::string_view alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  std::string id(22, ' ');
  for (size_t i = 0; i < id.size(); ++i)
    id[i] = alphabet[random_bits(hash_of(model_id), line, i) % alphabet.size()];
  return id;
}

}  // namespace

void write_answers(const std::filesystem::path& path, const Task& task, std::span<const Question> questions,
                   std::span<const std::string> answers, const std::string& model_id) {
  std::string lines;
  for (size_t i = 0; i < questions.size(); ++i) {
    nlohmann::ordered_json line;
    line["question_id"] = questions[i].id;
    line["prompt"] = task.prompt(questions[i]);
    line["text"] = answers[i];
    line["answer_id"] = answer_id(model_id, i);
    line["model_id"] = model_id;
    line["metadata"] = nlohmann::ordered_json::object();
    lines += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  write_file_atomic(path, lines);
}

}  // namespace moellava
