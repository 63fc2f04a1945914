// Files of many records, cut into them without building the document: a JSON list, [{...}, {...}], or JSON
// Lines, one {...} a line; told apart by their first character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_part.hpp"

namespace moellava {

struct RecordSpan {
  uint64_t offset = 0;  // bytes from the file's beginning
  uint64_t length = 0;  // bytes, without what stands around
  TextPosition begin;
};

constexpr uint64_t kLargestRecord = 64ull << 20;  // bytes

// Goes over `text` once and keeps nothing of it. Only where records begin and end is checked: each of them
// may still be no valid JSON.
class JsonRecords {
 public:
  // Throws BadData when `text` begins neither a list nor an object. `where` names the file in errors.
  JsonRecords(std::string_view text, std::string where);

  // The next record, nothing after the last. Throws BadData with line and column when the list is broken, and
  // Limit for a record that is too large; after that it is not to be called again.
  std::optional<RecordSpan> next();

 private:
  char peek() const { return text_[at_]; }
  bool ended() const { return at_ == text_.size(); }
  void step();  // over one character, counting lines
  void skip_space();
  void skip_string();
  void skip_value();
  TextPosition position() const { return {line_, at_ - line_begin_ + 1}; }
  RecordSpan span_from(size_t begin, TextPosition position) const;
  std::optional<RecordSpan> next_of_list();
  std::optional<RecordSpan> next_line();
  [[noreturn]] void fail(const std::string& what, const std::string& expected, TextPosition at) const;

  std::string_view text_;
  std::string where_;
  bool list_ = false;
  bool first_ = true;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t line_begin_ = 0;
};

}  // namespace moellava
