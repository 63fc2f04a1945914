// JSON lines: one object a line, blank lines between them or not.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace moellava {

struct TextLine {
  std::string text;
  std::string where;   // "file:line"
  bool ended = false;  // by a line break: a file that is being written may end without
};

// The lines that are not blank. Throws Limit for a file above 1 GiB.
std::vector<TextLine> read_lines(const std::filesystem::path& path);

// Throws BadData naming file and line, Limit for a line above 1 MiB.
Json parse_line(const TextLine& line);

// Calls `each` with every record. Throws BadData also when there is none.
void for_each_record(const std::filesystem::path& path, const std::function<void(const JsonObject&)>& each);

}  // namespace moellava
