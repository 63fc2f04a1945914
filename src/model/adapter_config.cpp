#include "model/adapter_config.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace {

// Fields that change what an adapter computes, when they are anything but null, false or empty.
constexpr const char* kUnsupported[] = {
    "use_dora",          "modules_to_save",         "fan_in_fan_out", "trainable_token_indices",
    "target_parameters", "layer_replication",       "lora_bias",      "use_qalora",
    "use_bdlora",        "alora_invocation_tokens", "arrow_config",   "kasa_config",
    "velora_config",     "monteclora_config",       "megatron_config"};

bool says_nothing(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

// The other ways to begin change the weights beside the adapter.
void require_plain_beginning(const JsonObject& json) {
  constexpr const char* kField = "init_lora_weights";
  if (!json.has(kField) || json.at(kField).is_boolean()) return;
  const std::string way = json.string(kField);
  if (way != "gaussian" && way != "eva" && way != "orthogonal") {
    throw bad_data(json.where() + ": " + kField, "not supported",
                   {.found = "\"" + printable(way) + "\"",
                    .expected = "true, false, \"gaussian\", \"eva\" or \"orthogonal\""});
  }
}

void require_supported(const JsonObject& json) {
  for (const char* field : kUnsupported) {
    if (json.has(field) && !says_nothing(json.at(field)))
      throw bad_data(json.where() + ": " + field, "not supported",
                     {.found = printable(json.at(field).dump()), .expected = "null, false or nothing"});
  }
  const auto require = [&](const char* field, const std::string& found, const char* expected) {
    if (found != expected)
      throw bad_data(
          json.where() + ": " + field, "not supported",
          {.found = "\"" + printable(found) + "\"", .expected = std::string("\"") + expected + "\""});
  };
  require("peft_type", json.string("peft_type"), "LORA");
  require_plain_beginning(json);
  require("bias", json.string_or("bias", "none"), "none");
}

void require_in_range(double value, double low, double high, const std::string& where) {
  if (value >= low && value <= high) return;
  throw bad_data(where, "out of range",
                 {.found = string_printf("%g", value), .expected = string_printf("%g to %g", low, high)});
}

constexpr double kLargestAlpha = 1e6;
constexpr uint64_t kMostConfigBytes = 1 << 20;

// The longest of `module` and its ends behind a dot that `fits`.
template <typename Fits>
std::optional<std::string> first_end(const std::string& module, const Fits& fits) {
  size_t begin = 0;
  while (true) {
    std::string end = module.substr(begin);
    if (fits(end)) return end;
    const size_t dot = module.find('.', begin);
    if (dot == std::string::npos) return std::nullopt;
    begin = dot + 1;
  }
}

constexpr size_t kLongestName = 256;

// PEFT takes the keys of its patterns for regular expressions; names are all that is understood here.
void require_name(const std::string& name, const std::string& where) {
  const bool plain = !name.empty() && name.size() <= kLongestName &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) || c == '_' || c == '.' || c == '-';
                     });
  if (!plain)
    throw bad_data(where, "not a module's name",
                   {.found = "\"" + printable(name) + "\"", .hint = "patterns are not supported"});
}

std::set<std::string> read_targets(const JsonObject& json) {
  const std::string where = json.where() + ": target_modules";
  if (!json.has("target_modules") || json.at("target_modules").is_string()) return {};
  const Json& value = json.at("target_modules");
  std::set<std::string> targets;
  const bool list =
      value.is_array() && !value.empty() &&
      std::all_of(value.begin(), value.end(), [](const Json& name) { return name.is_string(); });
  if (!list) throw bad_data(where, "not a list of names", {.found = printable(value.dump())});
  for (const Json& name : value) {
    require_name(name.get<std::string>(), where);
    targets.insert(name.get<std::string>());
  }
  return targets;
}

// The names in one of PEFT's patterns, each checked.
std::vector<std::string> pattern_names(const JsonObject& pattern) {
  std::vector<std::string> names;
  for (const auto& [name, value] : pattern.raw().items()) {
    require_name(name, pattern.where());
    // PEFT takes the first in the file, whose order is not kept here.
    const auto other = first_end(name, [&](const std::string& end) {
      return pattern.raw().contains(end) && pattern.at(end) != value;
    });
    if (other) {
      throw bad_data(pattern.where(), "two values for one module",
                     {.found = "\"" + name + "\" and \"" + *other + "\""});
    }
    names.push_back(name);
  }
  return names;
}

template <typename Value>
Value of_module(const std::map<std::string, Value>& values, const std::string& module, Value otherwise) {
  const auto name = first_end(module, [&](const std::string& end) { return values.contains(end); });
  return name ? values.at(*name) : otherwise;
}

// PEFT before 0.14 looks up a module's alpha under the name that rank_pattern has for it, later ones under
// alpha_pattern's own. Only 0.18 and later say who wrote the file.
void require_one_meaning(const AdapterConfig& config, const JsonObject& json) {
  if (json.has("peft_version")) return;
  const auto alone = [&](const std::string& name) {
    return config.ranks.contains(name) && !config.alphas.contains(name);
  };
  const auto changes = [&](const std::string& name) {
    const auto alpha = config.alphas.find(name);
    return alpha != config.alphas.end() && alpha->second != config.settings.alpha;
  };
  const auto refuse = [&](const std::string& rank, const std::string& alpha) {
    throw bad_data(json.where() + ": alpha_pattern", "another name for a module than in rank_pattern",
                   {.found = "\"" + alpha + "\" and \"" + rank + "\"",
                    .expected = "one name in both",
                    .hint = "versions of PEFT take it differently; those from 0.18 on name themselves"});
  };
  for (const auto& [name, alpha] : config.alphas) {
    const auto rank = changes(name) ? first_end(name, alone) : std::nullopt;
    if (rank) refuse(*rank, name);
  }
  for (const auto& [name, rank] : config.ranks) {
    const auto alpha = alone(name) ? first_end(name, changes) : std::nullopt;
    if (alpha) refuse(name, *alpha);
  }
}

Json whole_number_or(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

}  // namespace

bool names_module(const std::string& name, const std::string& module) {
  if (module.size() <= name.size()) return module == name;
  return module.ends_with(name) && module[module.size() - name.size() - 1] == '.';
}

int64_t AdapterConfig::rank_of(const std::string& module) const {
  return of_module(ranks, module, settings.rank);
}

double AdapterConfig::alpha_of(const std::string& module) const {
  return of_module(alphas, module, settings.alpha);
}

bool AdapterConfig::targets_module(const std::string& module) const {
  return first_end(module, [&](const std::string& end) { return targets.contains(end); }).has_value();
}

AdapterConfig read_adapter_config(const std::filesystem::path& path) {
  const Json document = read_json(path, {.bytes = kMostConfigBytes});
  const JsonObject json(document, path.string());
  require_supported(json);
  AdapterConfig config;
  config.settings.rank = json.integer("r", 1, kMostAdapterRank);
  config.settings.alpha = json.number("lora_alpha");
  config.settings.dropout = json.number_or("lora_dropout", 0);
  config.settings.rank_stabilised = json.boolean_or("use_rslora", false);
  require_in_range(config.settings.alpha, 0, kLargestAlpha, json.where() + ": lora_alpha");
  require_in_range(config.settings.dropout, 0, 0.999, json.where() + ": lora_dropout");
  config.base = json.string_or("base_model_name_or_path", "");
  config.targets = read_targets(json);
  // Then not every module of these names has an adapter.
  if (json.has("layers_to_transform") || json.has("exclude_modules")) config.targets.clear();
  if (json.has("rank_pattern")) {
    const JsonObject ranks = json.object("rank_pattern");
    for (const std::string& name : pattern_names(ranks))
      config.ranks[name] = ranks.integer(name, 1, kMostAdapterRank);
  }
  if (json.has("alpha_pattern")) {
    const JsonObject alphas = json.object("alpha_pattern");
    for (const std::string& name : pattern_names(alphas)) {
      config.alphas[name] = alphas.number(name);
      require_in_range(config.alphas[name], 0, kLargestAlpha, alphas.where() + ": " + name);
    }
  }
  require_one_meaning(config, json);
  return config;
}

Json adapter_config_json(const AdapterConfig& config) {
  Json alphas = Json::object();
  for (const auto& [name, alpha] : config.alphas) alphas[name] = whole_number_or(alpha);
  Json json = {{"peft_type", "LORA"},
               {"task_type", "CAUSAL_LM"},
               {"base_model_name_or_path", config.base.empty() ? Json() : Json(config.base)},
               {"r", config.settings.rank},
               {"lora_alpha", whole_number_or(config.settings.alpha)},
               {"lora_dropout", config.settings.dropout},
               {"target_modules", config.targets},
               {"rank_pattern", config.ranks},
               {"alpha_pattern", alphas},
               {"bias", "none"},
               {"fan_in_fan_out", false},
               {"init_lora_weights", true},
               {"inference_mode", true},
               {"modules_to_save", nullptr},
               {"layers_to_transform", nullptr},
               {"layers_pattern", nullptr}};
  // PEFT before 0.8 does not know the field and refuses it.
  if (config.settings.rank_stabilised) json["use_rslora"] = true;
  return json;
}

}  // namespace moellava
