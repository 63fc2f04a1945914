#include "files/table.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

namespace {

constexpr uint64_t kLargestFile = 4ull << 30;
constexpr size_t kMostColumns = 1024;
constexpr size_t kMostRows = 4 << 20;  // an empty field takes a byte in the file and 32 here

// Cuts rows off a text.
class RowReader {
 public:
  RowReader(std::string_view rest, const std::string& path) : rest_(rest), path_(path) {}

  bool at_end() const { return rest_.empty(); }
  size_t line() const { return line_; }

  std::vector<std::string> next() {
    std::vector<std::string> fields;
    bool row_ends = false;
    while (!row_ends) {
      if (fields.size() == kMostColumns)
        throw limit_error(path_ + ":" + std::to_string(line_), "too many columns",
                          {.expected = "at most " + std::to_string(kMostColumns)});
      std::string& field = fields.emplace_back();
      if (rest_.starts_with('"')) {
        field = quoted();
      }
      const size_t end = std::min(rest_.find_first_of("\t\n"), rest_.size());
      std::string_view plain = rest_.substr(0, end);
      row_ends = end == rest_.size() || rest_[end] == '\n';
      if (row_ends && plain.ends_with('\r')) plain.remove_suffix(1);
      field += plain;
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
    }
    ++line_;
    return fields;
  }

 private:
  std::string quoted() {
    std::string field;
    rest_.remove_prefix(1);
    for (;;) {
      const size_t quote = rest_.find('"');
      if (quote == std::string_view::npos)
        throw bad_data(path_ + ":" + std::to_string(line_), "a quote that is not closed");
      field += rest_.substr(0, quote);
      rest_.remove_prefix(quote + 1);
      if (!rest_.starts_with('"')) break;
      field += '"';
      rest_.remove_prefix(1);
    }
    line_ += static_cast<size_t>(std::count(field.begin(), field.end(), '\n'));
    return field;
  }

  std::string_view rest_;
  const std::string& path_;
  size_t line_ = 1;
};

}  // namespace

Table::Table(const std::filesystem::path& path) : Table(read_file(path, kLargestFile), path.string()) {}

Table::Table(std::string_view content, std::string path) : path_(std::move(path)) {
  RowReader reader(content, path_);
  if (reader.at_end()) throw bad_data(path_, "an empty file", {.expected = "a line of column names"});
  columns_ = reader.next();
  const std::set<std::string> names(columns_.begin(), columns_.end());
  if (names.size() != columns_.size()) throw bad_data(path_ + ":1", "a column is named twice");
  while (!reader.at_end()) {
    const size_t line = reader.line();
    std::vector<std::string> row = reader.next();
    if (row.size() == 1 && row[0].empty()) continue;
    if (row.size() != columns_.size()) {
      throw bad_data(
          path_ + ":" + std::to_string(line), "a row of another length",
          {.found = std::to_string(row.size()) + " fields", .expected = std::to_string(columns_.size())});
    }
    if (rows_.size() == kMostRows)
      throw limit_error(path_, "too many rows", {.expected = "at most " + std::to_string(kMostRows)});
    rows_.push_back(std::move(row));
    lines_.push_back(line);
  }
}

bool Table::has(std::string_view column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

size_t Table::index(std::string_view column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) throw bad_data(path_ + ":1: " + std::string(column), "no such column");
  return static_cast<size_t>(found - columns_.begin());
}

const std::string& Table::field(size_t row, std::string_view column) const {
  return rows_[row][index(column)];
}

std::string Table::where(size_t row) const {
  return path_ + ":" + std::to_string(lines_[row]);
}

}  // namespace moellava
