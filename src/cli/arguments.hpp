// The command line before CLI11 sees it, and its errors after.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace moellava {

// Long flags may be spelled with '-' or '_': both become the spelling the command declares.
std::vector<std::string> normalise_flags(const CLI::App& app, const std::vector<std::string>& arguments);

// CLI11's complaint in our form, with "did you mean" for an unknown command or flag.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error,
                          const std::vector<std::string>& arguments);

}  // namespace moellava
