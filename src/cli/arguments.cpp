#include "cli/arguments.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

namespace {

// The command that the arguments name, or the program itself.
const CLI::App& command_of(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument.starts_with("-")) continue;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == argument) return *command;
    }
    break;
  }
  return app;
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

constexpr const char* kExitStatus =
    R"(Exit status: 0 done, 1 internal error, 2 usage, 3 bad data, 4 input or output, 5 out of memory or over a
limit, 130 interrupted. Data goes to stdout, everything else to stderr.
)";

std::vector<std::string> long_flags(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back(name);
  }
  return flags;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& known,
                       const std::string& prefix) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string near = nearest(word, views.data(), views.size());
  return near.empty() ? "" : "; did you mean " + prefix + near + "?";
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  if (mode == CLI::AppFormatMode::Sub) return make_expanded(app);
  return make_usage(app, std::move(name)) + "\n" + make_description(app) + "\n" + make_footer(app) +
         make_positionals(app) + make_groups(app, mode) + make_subcommands(app, mode) + "\n" + kExitStatus;
}

std::vector<std::string> normalise_flags(const CLI::App& app, std::vector<std::string> arguments) {
  if (!arguments.empty() && arguments[0] == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  const std::vector<std::string> flags = long_flags(command_of(app, arguments));
  std::vector<std::string> normalised;
  for (const std::string& argument : arguments) {
    normalised.push_back(argument);
    if (!argument.starts_with("--")) continue;
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = with_dashes(argument.substr(2, equals - 2));
    for (const std::string& flag : flags) {
      if (with_dashes(flag) == name) normalised.back() = "--" + flag + argument.substr(equals);
    }
  }
  return normalised;
}

std::string usage_message(const CLI::App& app, const CLI::ParseError& error,
                          const std::vector<std::string>& arguments) {
  const CLI::App& command = command_of(app, arguments);
  const bool in_command = &command != &app;
  if (!in_command && !arguments.empty() && !arguments[0].starts_with("-")) {
    std::vector<std::string> names;
    for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(each->get_name());
    return "unknown command \"" + printable(arguments[0]) + "\"" + suggestion(arguments[0], names, "");
  }
  const std::vector<std::string> flags = long_flags(command);
  for (const std::string& argument : arguments) {
    if (!argument.starts_with("--") || argument == "--") continue;
    const std::string name = argument.substr(2, std::min(argument.find('='), argument.size()) - 2);
    if (std::find(flags.begin(), flags.end(), name) == flags.end()) {
      return "unknown option --" + printable(name) + suggestion(name, flags, "--");
    }
  }
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text + " (see moe-llava " + (in_command ? command.get_name() + " " : "") + "--help)";
}

std::string refusal(const std::string& value, const std::string& expected) {
  return "not allowed: found \"" + printable(value) + "\", expected " + expected;
}

}  // namespace moellava
