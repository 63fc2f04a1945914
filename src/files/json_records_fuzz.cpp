// Any bytes as a file of records: spans that lie behind one another inside the file, or an Error; and where
// the whole is valid JSON, the records are its elements.
#include <cstdlib>

#include "base/error.hpp"
#include "files/json_records.hpp"

namespace {

using namespace moellava;

std::vector<std::string_view> cut(std::string_view text) {
  std::vector<std::string_view> records;
  JsonRecords scanner(text, "input");
  uint64_t end = 0;
  size_t line = 1;
  while (const std::optional<RecordSpan> span = scanner.next()) {
    if (span->offset < end || span->length == 0) std::abort();
    if (span->begin.line < line || span->begin.column == 0) std::abort();
    line = span->begin.line;
    end = span->offset + span->length;
    if (end > text.size()) std::abort();
    records.push_back(text.substr(span->offset, span->length));
  }
  return records;
}

std::optional<Json> parsed(std::string_view text) {
  try {
    return parse_json(text, "input");
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<Json> whole = parsed(text);
  std::vector<std::string_view> records;
  try {
    records = cut(text);
  } catch (const Error&) {
    if (whole && whole->is_array()) std::abort();
    return 0;
  }
  if (!whole || !whole->is_array()) return 0;
  if (records.size() != whole->size()) std::abort();
  for (size_t i = 0; i < records.size(); ++i) {
    if (parsed(records[i]) != whole->at(i)) std::abort();
  }
  return 0;
}
