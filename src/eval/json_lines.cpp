#include "eval/json_lines.hpp"

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

namespace {

constexpr uint64_t kLargestFile = 1ull << 30;
constexpr uint64_t kLongestLine = 1ull << 20;

}  // namespace

std::vector<TextLine> read_lines(const std::filesystem::path& path) {
  const std::string content = read_file(path, kLargestFile);
  std::string_view rest = content;
  std::vector<TextLine> lines;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    lines.push_back({.text = std::string(line),
                     .where = path.string() + ":" + std::to_string(number),
                     .ended = end != std::string_view::npos});
  }
  return lines;
}

Json parse_line(const TextLine& line) {
  return parse_json(line.text, line.where, {.bytes = kLongestLine, .depth = 16});
}

void for_each_record(const std::filesystem::path& path, const std::function<void(const JsonObject&)>& each) {
  const std::vector<TextLine> lines = read_lines(path);
  if (lines.empty()) throw bad_data(path.string(), "no records in it");
  for (const TextLine& line : lines) {
    const Json json = parse_line(line);
    each(JsonObject(json, line.where));
  }
}

}  // namespace moellava
