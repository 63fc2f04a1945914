#include "files/json_records.hpp"

#include "base/error.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::string shown(char c) {
  return c > ' ' && c <= '~' ? "\"" + std::string(1, c) + "\""
                             : string_printf("byte 0x%02x", static_cast<unsigned char>(c));
}

std::string text_of(TextPosition position) {
  return "line " + std::to_string(position.line) + " col " + std::to_string(position.column);
}

}  // namespace

JsonRecords::JsonRecords(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {
  if (text_.starts_with("\xef\xbb\xbf"))
    throw bad_data(where_, "starts with a byte order mark", {.expected = "UTF-8 JSON without one"});
  skip_space();
  if (ended()) throw bad_data(where_, "empty file", {.expected = "a JSON list of records or JSON Lines"});
  list_ = peek() == '[';
  if (!list_ && peek() != '{') {
    throw bad_data(where_, "neither a JSON list of records nor JSON Lines",
                   {.found = shown(peek()), .expected = "[ or {"});
  }
  if (list_) step();
}

std::optional<RecordSpan> JsonRecords::next() {
  return list_ ? next_of_list() : next_line();
}

void JsonRecords::step() {
  if (peek() == '\n') {
    ++line_;
    line_begin_ = at_ + 1;
  }
  ++at_;
}

void JsonRecords::skip_space() {
  while (!ended() && is_space(peek())) step();
}

// To behind the closing quote, or to the end of the text.
void JsonRecords::skip_string() {
  for (step(); !ended() && peek() != '"'; step()) {
    if (peek() != '\\') continue;
    step();
    if (ended()) return;
  }
  if (!ended()) step();
}

// One value of a list; brackets need not match in kind.
void JsonRecords::skip_value() {
  const size_t begin = at_;
  const TextPosition start = position();
  uint64_t depth = 0;
  do {
    if (ended()) fail("a record does not end", "brackets and quotes that close", start);
    const char c = peek();
    if (depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c))) break;
    if (c == '"') {
      skip_string();
    } else {
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      step();
      // Brackets end what they hold; other values end before the next comma.
      if (depth == 0 && (c == '}' || c == ']')) break;
    }
  } while (true);
  if (at_ == begin) fail("a record is missing", "{...} between the commas", start);
  if (at_ - begin > kLargestRecord) {
    throw limit_error(where_, "a record is too large",
                      {.found = std::to_string(at_ - begin) + " bytes",
                       .expected = "at most " + std::to_string(kLargestRecord),
                       .at = text_of(start)});
  }
}

RecordSpan JsonRecords::span_from(size_t begin, TextPosition position) const {
  return {.offset = begin, .length = at_ - begin, .begin = position};
}

std::optional<RecordSpan> JsonRecords::next_of_list() {
  skip_space();
  const bool first = first_;
  first_ = false;
  if (ended()) fail("the list does not end", "]", position());
  if (peek() == ']') {
    step();
    skip_space();
    if (!ended()) fail("text behind the end of the list", "nothing", position());
    return std::nullopt;
  }
  if (!first) {
    if (peek() != ',') fail("no comma between two records", ", or ]", position());
    step();
    skip_space();
  }
  const size_t begin = at_;
  const TextPosition start = position();
  skip_value();
  return span_from(begin, start);
}

std::optional<RecordSpan> JsonRecords::next_line() {
  skip_space();
  if (ended()) return std::nullopt;
  const size_t begin = at_;
  const TextPosition start = position();
  at_ = std::min(text_.find('\n', at_), text_.size());
  RecordSpan span = span_from(begin, start);
  while (is_space(text_[begin + span.length - 1])) --span.length;
  if (span.length > kLargestRecord) {
    throw limit_error(where_, "a record is too large",
                      {.found = std::to_string(span.length) + " bytes",
                       .expected = "at most " + std::to_string(kLargestRecord),
                       .at = text_of(start)});
  }
  return span;
}

void JsonRecords::fail(const std::string& what, const std::string& expected, TextPosition at) const {
  throw bad_data(where_, what, {.expected = expected, .at = text_of(at)});
}

}  // namespace moellava
