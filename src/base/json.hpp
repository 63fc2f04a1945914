// JSON from untrusted files: size and depth limits, duplicate keys refused, errors with line and column;
// and typed field access whose errors name the file and the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

using Json = nlohmann::json;

struct JsonLimits {
  uint64_t bytes = 16ull << 20;
  int depth = 64;
};

// `where` names the source in errors.
Json parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});
Json read_json(const std::filesystem::path& path, JsonLimits limits = {});

// One object of a JSON file: its fields by name and type.
class JsonObject {
 public:
  // Throws when `value` is not an object. `where` is "file" or "file: field.field".
  JsonObject(const Json& value, std::string where);

  bool has(std::string_view key) const;  // present and not null
  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t low, int64_t high) const;
  double number(std::string_view key) const;  // finite
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string fallback) const;
  std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high) const;
  JsonObject object(std::string_view key) const;
  const Json& at(std::string_view key) const;  // throws "missing"
  const Json& raw() const { return *value_; }
  std::vector<std::string> unread() const;  // fields that were never asked for by name, sorted
  const std::string& where() const { return where_; }

 private:
  const Json* find(std::string_view key) const;

  const Json* value_;
  std::string where_;
  mutable std::set<std::string, std::less<>> read_;  // of this object, not of its copies
};

}  // namespace moellava
