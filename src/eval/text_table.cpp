#include "eval/text_table.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace {

// Characters, not bytes, so that "größer" lines up.
size_t text_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, text_width(text)), ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string aligned(const std::vector<Row>& rows, bool markdown) {
  std::vector<size_t> widths(rows[0].size(), 3);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_width(row[i]));
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      line += markdown ? "| " : (i == 0 ? "" : "  ");
      line += padded(rows[r][i], widths[i], i > 0) + (markdown ? " " : "");
    }
    text += line + (markdown ? "|\n" : "\n");
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string rule(widths[i], '-');
      if (markdown) {
        text += i == 0 ? "|-" + rule + "-" : "|-" + rule + ":";
      } else {
        text += (i == 0 ? "" : "  ") + rule;
      }
    }
    text += markdown ? "|\n" : "\n";
  }
  return text;
}

std::string cell(const std::string& label) {
  std::string text;
  for (char c : printable(label)) text.append(c == '|' ? "\\" : "").push_back(c);
  return text;
}

std::string percent(double share) {
  return string_printf("%.1f %%", 100 * share);
}

std::string count_text(int64_t number) {
  const auto value = static_cast<double>(number);
  if (number >= 1'000'000'000) return string_printf("%.2f B", value / 1e9);
  if (number >= 1'000'000) return string_printf("%.1f M", value / 1e6);
  return std::to_string(number);
}

}  // namespace moellava
