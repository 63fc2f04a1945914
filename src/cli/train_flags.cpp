#include "cli/train_flags.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr const char* kStage = "--stage";

bool parse_boolean(const std::string& flag, const std::string& text) {
  if (text.empty() || text == "True" || text == "true" || text == "1") return true;
  if (text == "False" || text == "false" || text == "0") return false;
  refuse_flag(flag, text, "True or False");
}

}  // namespace

void refuse_flag(const std::string& flag, const std::string& value, const std::string& expected) {
  throw usage_error(flag, "not allowed", {.found = "\"" + printable(value) + "\"", .expected = expected});
}

std::string range_text(bool integer, double low, double high) {
  const auto text = [&](double value) {
    if (integer) return std::to_string(static_cast<int64_t>(value));
    char digits[32];
    std::snprintf(digits, sizeof digits, "%g", value);
    return std::string(digits);
  };
  return std::string(integer ? "an integer" : "a number") + " from " + text(low) + " to " + text(high);
}

const std::string& one_of(const std::string& flag, const std::string& text,
                          const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return text;
  std::string list;
  for (std::string_view name : known) list += (list.empty() ? "" : ", ") + std::string(name);
  refuse_flag(flag, text, "one of " + list);
}

void TrainFlags::add(const std::string& flag, const std::string& type, CLI::Option* option,
                     std::function<void(TrainSettings&, Texts)> assign) {
  option->group(group_)->type_name(type);
  flags_.push_back({.name = flag, .group = group_, .assign = std::move(assign), .option = option});
}

void TrainFlags::text(const std::string& flag, const std::string& type, const std::string& help,
                      std::function<void(TrainSettings&, Text)> assign) {
  add(flag, type, command_.add_option(flag, help),
      [assign = std::move(assign)](TrainSettings& s, Texts values) {
        assign(s, values.empty() ? std::string() : values.back());
      });
}

void TrainFlags::list(const std::string& flag, const std::string& type, const std::string& help,
                      std::function<void(TrainSettings&, Texts)> assign) {
  CLI::Option* option = command_.add_option(flag, help);
  option->expected(1, CLI::detail::expected_max_vector_size);
  add(flag, type, option, std::move(assign));
}

void TrainFlags::boolean(const std::string& flag, const std::string& help, bool& (*field)(TrainSettings&)) {
  text(flag, "True|False", help,
       [=](TrainSettings& s, Text value) { field(s) = parse_boolean(flag, value); });
  flags_.back().option->expected(0, 1);
}

void TrainFlags::require(const std::string& flag) {
  const auto found =
      std::find_if(flags_.begin(), flags_.end(), [&](const Flag& f) { return f.name == flag; });
  found->required = true;
  found->option->description(found->option->get_description() + " (required)");
}

int TrainFlags::stage() const {
  const CLI::Option* option = command_.get_option(kStage);
  return static_cast<int>(parse_number<int64_t>(kStage, option->reduced_results().back(), 1, 3));
}

TrainSettings TrainFlags::settings() const {
  for (const Flag& flag : flags_) {
    if (flag.required && flag.option->count() == 0)
      throw usage_error(flag.name, "is required", {.hint = "see moe-llava train --help"});
  }
  TrainSettings settings = default_settings(stage());
  for (const Flag& flag : flags_) {
    if (flag.option->count() == 0) continue;
    // A flag that would do nothing is a mistake of whoever typed it.
    if (flag.group.starts_with("Mixture") && settings.stage != 3)
      throw usage_error(flag.name, "only for stage 3",
                        {.found = "--stage " + std::to_string(settings.stage)});
    flag.assign(settings, flag.option->reduced_results());
  }
  return settings;
}

}  // namespace moellava
