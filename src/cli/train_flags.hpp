// The flags of `moe-llava train`, in Hugging Face's and LLaVA's spelling: from text to TrainSettings.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "train/settings.hpp"

namespace moellava {

// Throws Usage "--flag: not allowed: found "value", expected ...".
[[noreturn]] void refuse_flag(const std::string& flag, const std::string& value, const std::string& expected);

// "an integer from 1 to 256"
std::string range_text(bool integer, double low, double high);

// The whole text as a number from `low` to `high`.
template <typename Number>
Number parse_number(const std::string& flag, const std::string& text, Number low, Number high) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  const bool whole = failure == std::errc() && stop == end && std::isfinite(static_cast<double>(value));
  if (!whole || value < low || value > high) {
    refuse_flag(flag, text,
                range_text(std::is_integral_v<Number>, static_cast<double>(low), static_cast<double>(high)));
  }
  return value;
}

// "", as of a flag that stands alone, is true.
bool parse_boolean(const std::string& flag, const std::string& text);

// `text` when it is one of `known`.
const std::string& one_of(const std::string& flag, const std::string& text,
                          const std::vector<std::string_view>& known);

// What was typed, and what a preset (--config) says where nothing was typed, is kept as text and becomes
// settings only after the stage, and with it the defaults, is known. `type` is what the help shows for the
// value.
class TrainFlags {
 public:
  using Text = const std::string&;
  using Texts = const std::vector<std::string>&;

  explicit TrainFlags(CLI::App& command) : command_(command) {}
  TrainFlags(const TrainFlags&) = delete;
  TrainFlags& operator=(const TrainFlags&) = delete;

  // The part of the help that the flags after it stand in, and the stages they do something in; none: all.
  void group(const std::string& name, std::vector<int> stages = {}) {
    group_ = name;
    stages_ = std::move(stages);
  }

  // One value; of a flag that is given twice the later one counts.
  void text(const std::string& flag, const std::string& type, const std::string& help,
            std::function<void(TrainSettings&, Text)> assign);
  // One or more values.
  void list(const std::string& flag, const std::string& type, const std::string& help,
            std::function<void(TrainSettings&, Texts)> assign);
  // `field` gives the place of the value in the settings.
  template <typename Number>
  void number(const std::string& flag, Number low, Number high, const std::string& help,
              Number& (*field)(TrainSettings&)) {
    text(flag, std::is_integral_v<Number> ? "N" : "X", help,
         [=](TrainSettings& s, Text value) { field(s) = parse_number(flag, value, low, high); });
  }
  // Alone, or with True or False behind it.
  void boolean(const std::string& flag, const std::string& help, bool& (*field)(TrainSettings&));

  // Makes a flag declared before a required one.
  void require(const std::string& flag);

  // The stage's defaults and everything that was given. Throws Usage when a required flag was not given, or
  // one that does nothing in this stage was; BadData when the preset is no list of flags.
  TrainSettings settings() const;

 private:
  struct Flag {
    std::string name;
    std::vector<int> stages;
    std::function<void(TrainSettings&, Texts)> assign;
    CLI::Option* option = nullptr;
    bool required = false;
  };
  void add(const std::string& flag, const std::string& type, CLI::Option* option,
           std::function<void(TrainSettings&, Texts)> assign);

  // The texts of every flag that was given, by name.
  using Given = std::map<std::string, std::vector<std::string>, std::less<>>;
  Given typed() const;
  // Of a preset: {"num_experts": 4, "train_modules": ["fc1", "fc2"], ...}.
  Given read_preset(const std::string& path) const;

  CLI::App& command_;
  std::string group_;
  std::vector<int> stages_;
  std::vector<Flag> flags_;  // as declared
};

// Declares all flags.
void add_train_flags(TrainFlags& flags);

}  // namespace moellava
