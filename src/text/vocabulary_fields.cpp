#include "text/vocabulary_fields.hpp"

#include "base/error.hpp"

namespace moellava {

std::vector<std::pair<std::string, int32_t>> read_vocab(const Json& vocab, const std::string& where) {
  if (!vocab.is_object()) throw bad_data(where, "vocab is not an object");
  std::vector<std::pair<std::string, int32_t>> tokens;
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > kLargestTokenId) {
      throw bad_data(where, "token id out of range",
                     {.found = printable(id.dump()) + " for \"" + printable(token) + "\"",
                      .expected = "0 to " + std::to_string(kLargestTokenId)});
    }
    tokens.emplace_back(token, static_cast<int32_t>(id.get<int64_t>()));
  }
  return tokens;
}

std::pair<std::string, std::string> split_merge(std::string_view line, const std::string& where) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    throw bad_data(where, "not a merge",
                   {.found = "\"" + printable(line) + "\"", .expected = "two tokens with a space between"});
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

AddedToken read_added_token(const JsonObject& json, int64_t id) {
  if (json.boolean_or("single_word", false)) throw bad_data(json.where() + ": single_word", "not supported");
  const bool special = json.boolean_or("special", false);
  return {.text = json.string("content"),
          .id = static_cast<int32_t>(id),
          .special = special,
          .lstrip = json.boolean_or("lstrip", false),
          .rstrip = json.boolean_or("rstrip", false),
          .normalized = json.boolean_or("normalized", !special)};
}

}  // namespace moellava
