// Tables of tab-separated values, as pandas and VLMEvalKit write them: a line of column names, fields in
// double quotes where they hold tabs, line breaks or quotes (doubled inside).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

class Table {
 public:
  // Throws BadData naming file and line for a row of another length than the first, for a column named twice
  // and for a quote that is not closed; Limit above 4 GiB, 1024 columns or 4 million rows.
  explicit Table(const std::filesystem::path& path);
  // `path` only names it in errors.
  Table(std::string_view content, std::string path);

  size_t rows() const { return rows_.size(); }
  const std::vector<std::string>& columns() const { return columns_; }
  bool has(std::string_view column) const;
  // "" for a field that is empty. Throws BadData when there is no such column.
  const std::string& field(size_t row, std::string_view column) const;
  // "file:line", the line a row begins at.
  std::string where(size_t row) const;

 private:
  size_t index(std::string_view column) const;

  std::string path_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> lines_;  // [rows]
};

}  // namespace moellava
