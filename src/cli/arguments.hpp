// The command line before CLI11 sees it, its errors after, and the form of the help.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace moellava {

// Usage and purpose, examples, options by group, exit status: what is looked for most comes first.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

// Long flags may be spelled with '-' or '_': both become the spelling the command declares. "help chat" is
// "chat --help".
std::vector<std::string> normalise_flags(const CLI::App& app, std::vector<std::string> arguments);

// CLI11's complaint in our form, with "did you mean" for an unknown command or flag.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error,
                          const std::vector<std::string>& arguments);

// What a flag's check says about a value it does not take.
std::string refusal(const std::string& value, const std::string& expected);

// A flag's whole value must be a number from `low` to `high`; "nan" and "1e999" are none. (CLI::Range lets
// "nan" through.)
template <typename Number>
CLI::Validator number_from(Number low, Number high) {
  const auto check = [low, high](std::string& text) {
    Number value{};
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure == std::errc() && stop == end && value >= low && value <= high) return std::string();
    std::ostringstream expected;
    expected << (std::is_integral_v<Number> ? "an integer" : "a number") << " from " << low << " to " << high;
    return refusal(text, expected.str());
  };
  return CLI::Validator(check, "");
}

}  // namespace moellava
