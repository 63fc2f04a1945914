#include "base/json.hpp"

#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json_part.hpp"

namespace moellava {

namespace {

std::string line_and_column(std::string_view text, TextPosition begin, size_t offset) {
  for (size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] == '\n') {
      ++begin.line;
      begin.column = 1;
    } else {
      ++begin.column;
    }
  }
  return "line " + std::to_string(begin.line) + " col " + std::to_string(begin.column);
}

// Where the key with this number begins, counted from 0 over the whole text, which is valid JSON up to there.
size_t key_offset(std::string_view text, size_t number) {
  size_t keys = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '"') continue;
    const size_t begin = i;
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\') ++i;
    }
    // A string before a colon is a key.
    const size_t next = text.find_first_not_of(" \t\r\n", i + 1);
    if (next != std::string_view::npos && text[next] == ':' && keys++ == number) return begin;
  }
  return text.size();
}

// Builds the document through nlohmann's SAX interface, which lets us refuse depth and duplicate keys early.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, TextPosition begin, std::string_view where, int depth)
      : text_(text), begin_(begin), where_(where), max_depth_(depth) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    const auto [first, fresh] = keys_.back().try_emplace(name, key_count_);
    if (!fresh) {
      throw bad_data(where_, "duplicate key",
                     {.found = "\"" + printable(name) + "\" twice in one object",
                      .at = line_and_column(text_, begin_, key_offset(text_, first->second)) + " and " +
                            line_and_column(text_, begin_, key_offset(text_, key_count_))});
    }
    ++key_count_;
    key_ = name;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& reason) override {
    std::string what = reason.what();
    // nlohmann prefixes "[json.exception...] parse error at line.., column..: "; the rest says what is wrong.
    if (const size_t colon = what.find(": "); colon != std::string::npos) what = what.substr(colon + 2);
    throw bad_data(
        where_, "not valid JSON",
        {.found = printable(what), .at = line_and_column(text_, begin_, position ? position - 1 : 0)});
  }

  Json take() { return std::move(root_); }

 private:
  Json* put(Json value, bool) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& top = *stack_.back();
    if (top.is_array()) {
      top.push_back(std::move(value));
      return &top.back();
    }
    return &(top[key_] = std::move(value));
  }
  bool put(Json value) { return put(std::move(value), true) != nullptr; }

  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= max_depth_) {
      throw bad_data(where_, "nested too deeply",
                     {.expected = "at most " + std::to_string(max_depth_) + " levels"});
    }
    stack_.push_back(put(std::move(container), true));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::string_view text_;
  TextPosition begin_;
  std::string_view where_;
  int max_depth_;
  Json root_;
  std::vector<Json*> stack_;  // open containers; a parent does not grow while its child is open
  std::vector<std::map<std::string, size_t>> keys_;  // of the open objects, by number over the whole text
  size_t key_count_ = 0;
  std::string key_;
};

std::string kind_of(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return printable(text);
}

Error wrong_type(const std::string& where, std::string_view key, const Json& value,
                 std::string_view expected) {
  return bad_data(where + ": " + std::string(key), "wrong type or range",
                  {.found = kind_of(value), .expected = std::string(expected)});
}

// The value as int64, or nothing when it is no integer or does not fit.
std::optional<int64_t> as_integer(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  const bool wraps = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  return wraps ? std::nullopt : std::optional(value.get<int64_t>());
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  return parse_json_part(text, {}, where, limits);
}

Json parse_json_part(std::string_view text, TextPosition begin, std::string_view where, JsonLimits limits) {
  if (text.size() > limits.bytes) {
    throw limit_error(where, "JSON too large",
                      {.found = std::to_string(text.size()) + " bytes",
                       .expected = "at most " + std::to_string(limits.bytes)});
  }
  if (text.substr(0, 3) == "\xef\xbb\xbf")
    throw bad_data(where, "starts with a byte order mark", {.expected = "UTF-8 JSON without one"});
  Builder builder(text, begin, where, limits.depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  // nlohmann stops at a zero byte as if the text ended there.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw bad_data(where, "not valid JSON",
                   {.found = "a zero byte", .at = line_and_column(text, begin, zero)});
  }
  return builder.take();
}

Json read_json(const std::filesystem::path& path, JsonLimits limits) {
  return parse_json(read_file(path, limits.bytes), path.string(), limits);
}

JsonObject::JsonObject(const Json& value, std::string where) : value_(&value), where_(std::move(where)) {
  if (!value.is_object()) throw bad_data(where_, "not a JSON object", {.found = kind_of(value)});
}

const Json* JsonObject::find(std::string_view key) const {
  const auto it = value_->find(std::string(key));
  if (it != value_->end()) read_.emplace(key);
  return it == value_->end() || it->is_null() ? nullptr : &*it;
}

std::vector<std::string> JsonObject::unread() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : value_->items()) {
    if (!read_.contains(name)) names.push_back(name);
  }
  return names;
}

bool JsonObject::has(std::string_view key) const {
  return find(key) != nullptr;
}

const Json& JsonObject::at(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) throw bad_data(where_ + ": " + std::string(key), "missing field");
  return *value;
}

int64_t JsonObject::integer(std::string_view key, int64_t low, int64_t high) const {
  const Json& value = at(key);
  const std::string range = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  const auto number = as_integer(value);
  if (!number || *number < low || *number > high) throw wrong_type(where_, key, value, range);
  return *number;
}

int64_t JsonObject::integer_or(std::string_view key, int64_t fallback, int64_t low, int64_t high) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonObject::number(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    throw wrong_type(where_, key, value, "a finite number");
  return value.get<double>();
}

double JsonObject::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool JsonObject::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& value = at(key);
  if (!value.is_boolean()) throw wrong_type(where_, key, value, "true or false");
  return value.get<bool>();
}

std::string JsonObject::string(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_string()) throw wrong_type(where_, key, value, "a string");
  return value.get<std::string>();
}

std::string JsonObject::string_or(std::string_view key, std::string fallback) const {
  return has(key) ? string(key) : std::move(fallback);
}

std::vector<int64_t> JsonObject::integers(std::string_view key, int64_t low, int64_t high) const {
  const Json& value = at(key);
  if (!value.is_array()) throw wrong_type(where_, key, value, "a list of integers");
  std::vector<int64_t> numbers;
  for (const Json& item : value) {
    const auto number = as_integer(item);
    if (!number || *number < low || *number > high)
      throw wrong_type(where_, key, item,
                       "integers from " + std::to_string(low) + " to " + std::to_string(high));
    numbers.push_back(*number);
  }
  return numbers;
}

JsonObject JsonObject::object(std::string_view key) const {
  return {at(key), where_ + ": " + std::string(key)};
}

}  // namespace moellava
