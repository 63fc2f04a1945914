// The one error type. Every message has the form
//   file or field: what is wrong: found x, expected y at byte N (hint)
// and every kind has its own exit code.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace moellava {

// Values are the exit codes of the program.
enum class ErrorKind { Internal = 1, Usage = 2, BadData = 3, Io = 4, Limit = 5 };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

// The optional parts of a message; empty ones are left out.
struct Detail {
  std::string found = {};
  std::string expected = {};
  std::string at = {};    // "byte 12", "tensor \"T\"", "line 3 col 7"
  std::string hint = {};  // printed in parentheses
};

// `where` is a path or a field, `what` the fault in a few words.
Error make_error(ErrorKind kind, std::string_view where, std::string_view what, const Detail& detail = {});
Error bad_data(std::string_view where, std::string_view what, const Detail& detail = {});
Error usage_error(std::string_view where, std::string_view what, const Detail& detail = {});
Error limit_error(std::string_view where, std::string_view what, const Detail& detail = {});
// Appends the text of errno.
Error io_error(std::string_view path, std::string_view what, int errno_value);

// A name out of a file, safe to print: no control bytes, at most 80 characters.
std::string printable(std::string_view name);

// The candidate nearest to `word` by edit distance, or "" when none is near: for "did you mean".
std::string nearest(std::string_view word, const std::string_view* candidates, size_t count);

}  // namespace moellava
