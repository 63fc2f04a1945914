// Any bytes as a table: an Error, or fields that are the same when they are written in quotes and read again.
#include <cstdlib>

#include "base/error.hpp"
#include "files/table.hpp"

namespace {

std::string quoted(const std::string& field) {
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const Table table(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    std::string written;
    for (const std::string& column : table.columns())
      written += (written.empty() ? "" : "\t") + quoted(column);
    for (size_t row = 0; row < table.rows(); ++row) {
      written += "\n";
      for (const std::string& column : table.columns())
        written += (written.ends_with('\n') ? "" : "\t") + quoted(table.field(row, column));
    }
    const Table again(written, "written");
    if (again.columns() != table.columns() || again.rows() != table.rows()) std::abort();
    for (size_t row = 0; row < table.rows(); ++row) {
      for (const std::string& column : table.columns())
        if (again.field(row, column) != table.field(row, column)) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
