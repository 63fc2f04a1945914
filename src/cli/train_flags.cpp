#include "cli/train_flags.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace moellava {

namespace {

constexpr const char* kStage = "--stage";
constexpr const char* kConfig = "--config";
constexpr const char* kRemark = "description";  // of a preset, for people

int stage_of(const std::string& text) {
  for (int stage : {1, 2, 3, kFinetune}) {
    if (text == stage_name(stage)) return stage;
  }
  refuse_flag(kStage, text, "1, 2, 3 or finetune");
}

// A flag that would do nothing is a mistake of whoever typed it.
void require_stage(const std::string& flag, const std::vector<int>& stages, int stage) {
  if (stages.empty() || std::find(stages.begin(), stages.end(), stage) != stages.end()) return;
  throw usage_error(flag, "only for stage " + joined(stages, " and ", stage_name),
                    {.found = "--stage " + stage_name(stage)});
}

// A value of a preset as one would type it.
std::string text_of(const Json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number()) return value.dump();
  throw bad_data(where, "not a value", {.expected = "a string, a number, true or false, or a list of them"});
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

bool parse_boolean(const std::string& flag, const std::string& text) {
  if (text.empty() || text == "True" || text == "true" || text == "1") return true;
  if (text == "False" || text == "false" || text == "0") return false;
  refuse_flag(flag, text, "True or False");
}

const std::string& one_of(const std::string& flag, const std::string& text,
                          const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return text;
  refuse_flag(flag, text, "one of " + joined(known));
}

void TrainFlags::add(const std::string& flag, const std::string& type, CLI::Option* option,
                     std::function<void(TrainSettings&, Texts)> assign) {
  option->group(group_)->type_name(type);
  flags_.push_back({.name = flag, .stages = stages_, .assign = std::move(assign), .option = option});
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
  option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
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

TrainFlags::Given TrainFlags::typed() const {
  Given given;
  for (const Flag& flag : flags_) {
    if (flag.option->count() > 0) given[flag.name] = flag.option->reduced_results();
  }
  return given;
}

TrainFlags::Given TrainFlags::read_preset(const std::string& path) const {
  const Json json = read_json(path);
  if (!json.is_object()) throw bad_data(path, "no preset", {.expected = "{\"flag\": value, ...}"});
  std::vector<std::string_view> names;
  for (const Flag& flag : flags_) names.push_back(std::string_view(flag.name).substr(2));
  Given given;
  for (const auto& [key, value] : json.items()) {
    if (key == kRemark) continue;
    if ("--" + key == kConfig || std::find(names.begin(), names.end(), key) == names.end()) {
      const std::string near = nearest(key, names.data(), names.size());
      throw bad_data(
          path, "unknown flag",
          {.found = "\"" + printable(key) + "\"", .hint = near.empty() ? "" : "did you mean " + near + "?"});
    }
    if (value.is_array() && command_.get_option("--" + key)->get_expected_max() == 1)
      throw bad_data(path + ": " + key, "a list", {.expected = "one value"});
    std::vector<std::string>& texts = given["--" + key];
    for (const Json& each : value.is_array() ? value : Json::array({value}))
      texts.push_back(text_of(each, path + ": " + key));
  }
  return given;
}

TrainSettings TrainFlags::settings() const {
  Given given = typed();
  const std::string preset = given.contains(kConfig) ? given[kConfig].back() : "";
  Given from_preset = preset.empty() ? Given() : read_preset(preset);
  // What was typed counts; of a bad value in the preset the preset is told.
  const auto apply = [&](const std::string& flag, const auto& use) {
    if (const auto found = given.find(flag); found != given.end()) {
      use(found->second);
    } else if (const auto set = from_preset.find(flag); set != from_preset.end()) {
      try {
        use(set->second);
      } catch (const Error& error) {
        throw Error(error.kind(), preset + ": " + error.what());
      }
    }
  };

  for (const Flag& flag : flags_) {
    if (flag.required && !given.contains(flag.name) && !from_preset.contains(flag.name))
      throw usage_error(flag.name, "is required", {.hint = "see moe-llava train --help"});
  }
  int stage = 0;
  apply(kStage, [&](Texts values) { stage = stage_of(values.back()); });
  TrainSettings settings = default_settings(stage);
  for (const Flag& flag : flags_) {
    apply(flag.name, [&](Texts values) {
      require_stage(flag.name, flag.stages, stage);
      flag.assign(settings, values);
    });
  }
  return settings;
}

}  // namespace moellava
