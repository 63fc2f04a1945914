// Tables for terminals and in Markdown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moellava {

using Row = std::vector<std::string>;

// The first row heads the others. The first column stands to the left, the others to the right; Markdown is
// aligned, too, to be read as plain text.
std::string aligned(const std::vector<Row>& rows, bool markdown);

// A label may hold anything; in a table it may not open a column or a line.
std::string cell(const std::string& label);

// 0.123 -> "12.3 %"
std::string percent(double share);
// 134515008 -> "134.5 M"
std::string count_text(int64_t number);

}  // namespace moellava
