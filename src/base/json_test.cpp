#include "base/json.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <limits>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {
namespace {

struct BadCase {
  const char* name;
  std::string text;
  std::string message;  // a part of it
  ErrorKind kind = ErrorKind::BadData;
};

void expect_refused(const std::vector<BadCase>& cases, const JsonLimits& limits = {}) {
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(bad.name);
    try {
      parse_json(bad.text, "config.json", limits);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.find("config.json: "), 0u) << text;
      EXPECT_NE(text.find(bad.message), std::string::npos) << text;
      EXPECT_EQ(error.kind(), bad.kind) << text;
      EXPECT_LE(text.size(), 300u) << text;
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    }
  }
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ParseJson, ZeroBytesBehindTheDocumentAreNotItsEnd) {
  EXPECT_THROW(parse_json(std::string_view("[ ]\t\0\0", 6), "x.json"), Error);
  EXPECT_THROW(parse_json(std::string_view("{}\0{", 4), "x.json"), Error);
}

TEST(ParseJson, BuildsTheDocument) {
  const Json json =
      parse_json(R"( {"a":[1,-2,2.5,true,null,"x"],"b":{"c":{}},"d":18446744073709551615} )", "file");
  EXPECT_EQ(json, Json::parse(R"({"a":[1,-2,2.5,true,null,"x"],"b":{"c":{}},"d":18446744073709551615})"));
  EXPECT_EQ(parse_json("3", "file"), 3);
  EXPECT_EQ(parse_json("\"\\u00e4\"", "file"), "\xc3\xa4");
}

TEST(ParseJson, RefusesBadText) {
  const std::vector<BadCase> cases = {
      {"empty", "", "not valid JSON"},
      {"truncated", "{\n  \"a\": 1", "at line 2 col "},
      {"trailing comma", "{\"a\":1,}", "at line 1 col 8"},
      {"trailing comma in an array", "[1,]", "at line 1 col 4"},
      {"byte order mark", "\xef\xbb\xbf{}", "starts with a byte order mark"},
      {"NaN", "{\"a\": NaN}", "not valid JSON"},
      {"Infinity", "[Infinity]", "not valid JSON"},
      {"number too large", "[1e999]", "not valid JSON"},
      {"comment", "{} // no", "not valid JSON"},
      {"trailing data", "{}\n{}", "at line 2 col 1"},
      {"not UTF-8", "[\"\xff\"]", "not valid JSON"},
      {"lone surrogate", "[\"\\ud800\"]", "not valid JSON"},
      {"control byte in a string", "[\"a\nb\"]", "not valid JSON"},
      {"single quotes", "{'a':1}", "not valid JSON"},
      {"duplicate key", R"({"hidden_size":1,"hidden_size":2})",
       "duplicate key: found \"hidden_size\" twice in one object at line 1 col 2 and line 1 col 18"},
      {"duplicate key inside", "[{\"b\\\"\": \"b\", \"a\": {\"b\" : 1,\n \"c\": \":\",\n \"b\": 3}}]",
       "found \"b\" twice in one object at line 1 col 21 and line 3 col 2"},
      {"100 k levels", std::string(100'000, '['), "nested too deeply: expected at most 64 levels"},
      {"100 k objects", repeated("{\"a\":", 100'000), "nested too deeply"},
  };
  expect_refused(cases);
}

TEST(ParseJson, LimitsAreInclusive) {
  const std::string levels = std::string(64, '[') + std::string(64, ']');
  EXPECT_NO_THROW(parse_json(levels, "file"));
  EXPECT_THROW(parse_json("[" + levels + "]", "file"), Error);
  EXPECT_NO_THROW(parse_json("[12]", "file", {.bytes = 4}));
  expect_refused(
      {{"one byte over", "[123]", "JSON too large: found 5 bytes, expected at most 4", ErrorKind::Limit}},
      {.bytes = 4});
}

// The same key in different objects is no duplicate.
TEST(ParseJson, KeysBelongToTheirObject) {
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})", "file"));
}

TEST(ReadJson, NamesTheFile) {
  std::string pattern = (std::filesystem::temp_directory_path() / "moellava_json_XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  write_file_atomic(folder / "a.json", R"({"a":1})");
  EXPECT_EQ(read_json(folder / "a.json")["a"], 1);
  write_file_atomic(folder / "a.json", "{");
  try {
    read_json(folder / "a.json");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a.json: not valid JSON"), std::string::npos) << error.what();
  }
  EXPECT_THROW(read_json(folder / "none.json"), Error);
  std::filesystem::remove_all(folder);
}

class JsonObjectTest : public testing::Test {
 protected:
  // The message of the error that `call` throws.
  template <typename Call>
  std::string message(Call call) const {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      return error.what();
    }
    return "no error";
  }
  const Json json_ = Json::parse(R"({"i":32,"text":"32","half":32.5,"yes":true,"none":null,"minus":-1,
    "huge":18446744073709551615,"list":[1,2],"mixed":[1,"2"],"big_list":[18446744073709551615],"inner":{"x":1}})");
  const JsonObject object_{json_, "config.json"};
};

TEST_F(JsonObjectTest, ReadsTypedFields) {
  EXPECT_EQ(object_.integer("i", 1, 32), 32);
  EXPECT_EQ(object_.integer("minus", -1, 0), -1);
  EXPECT_EQ(object_.integer_or("absent", 7, 0, 9), 7);
  EXPECT_EQ(object_.integer_or("none", 7, 0, 9), 7);
  EXPECT_EQ(object_.number("half"), 32.5);
  EXPECT_EQ(object_.number("i"), 32);
  EXPECT_EQ(object_.number_or("absent", 0.5), 0.5);
  EXPECT_TRUE(object_.boolean_or("yes", false));
  EXPECT_TRUE(object_.boolean_or("absent", true));
  EXPECT_EQ(object_.string("text"), "32");
  EXPECT_EQ(object_.string_or("absent", "x"), "x");
  EXPECT_EQ(object_.integers("list", 1, 2), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(object_.object("inner").integer("x", 0, 1), 1);
  EXPECT_TRUE(object_.has("i"));
  EXPECT_FALSE(object_.has("none"));
  EXPECT_FALSE(object_.has("absent"));
  EXPECT_EQ(object_.at("yes"), true);
  EXPECT_EQ(&object_.raw(), &json_);
}

TEST_F(JsonObjectTest, RefusesOtherTypesAndRanges) {
  for (const char* key : {"text", "half", "yes", "huge", "list", "minus"}) {
    EXPECT_NE(message([&] { object_.integer(key, 0, INT64_MAX); }).find(std::string("config.json: ") + key),
              std::string::npos)
        << key;
  }
  EXPECT_EQ(message([&] { object_.integer("i", 1, 31); }),
            "config.json: i: wrong type or range: found 32, expected an integer from 1 to 31");
  EXPECT_EQ(message([&] { object_.integer("absent", 0, 1); }), "config.json: absent: missing field");
  EXPECT_EQ(message([&] { object_.integer("none", 0, 1); }), "config.json: none: missing field");
  EXPECT_NE(message([&] { object_.number("text"); }), "no error");
  EXPECT_NE(message([&] { object_.boolean_or("i", true); }), "no error");
  EXPECT_NE(message([&] { object_.string("i"); }), "no error");
  EXPECT_NE(message([&] { object_.integers("i", 0, 9); }), "no error");
  EXPECT_NE(message([&] { object_.integers("mixed", 0, 9); }), "no error");
  EXPECT_NE(message([&] { object_.integers("list", 2, 9); }), "no error");
  EXPECT_NE(message([&] { object_.integers("big_list", INT64_MIN, INT64_MAX); }), "no error");
  EXPECT_NE(message([&] { object_.object("i"); }).find("config.json: i: not a JSON object"),
            std::string::npos);
  const Json list = Json::array();
  EXPECT_EQ(message([&] { JsonObject(list, "config.json"); }), "config.json: not a JSON object: found []");
}

TEST_F(JsonObjectTest, RefusesNumbersThatAreNotFinite) {
  const Json json = {{"x", std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_NE(message([&] { JsonObject(json, "f").number("x"); }), "no error");
}

TEST_F(JsonObjectTest, InnerObjectsNameTheirPath) {
  EXPECT_EQ(message([&] { object_.object("inner").string("y"); }), "config.json: inner: y: missing field");
}

}  // namespace
}  // namespace moellava
