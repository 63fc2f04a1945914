#include "files/json_records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> cut(const std::string& text) {
  std::vector<std::string> records;
  JsonRecords scanner(text, "data.json");
  while (const std::optional<RecordSpan> span = scanner.next())
    records.push_back(text.substr(span->offset, span->length));
  return records;
}

std::string failure(const std::string& text) {
  try {
    cut(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(JsonRecords, AListIsCutAtItsCommas) {
  EXPECT_THAT(cut(R"( [ {"a": [1, {"b": "},{\"]"}]} , {} ,3, "x,]",
                     [2], tru ] )"),
              ElementsAre(R"({"a": [1, {"b": "},{\"]"}]})", "{}", "3", R"("x,]")", "[2]", "tru"));
  EXPECT_THAT(cut("[]"), ElementsAre());
}

TEST(JsonRecords, LinesAreRecords) {
  EXPECT_THAT(cut("{\"a\": 1}\n\n  {\"b\": \"]\"} \r\n{broken\n"),
              ElementsAre("{\"a\": 1}", "{\"b\": \"]\"}", "{broken"));
  EXPECT_THAT(cut("{}"), ElementsAre("{}"));
}

TEST(JsonRecords, PositionsCountFromOne) {
  const std::string list = "[\n {\"a\":\n 1},\n\n   {}]";
  JsonRecords scanner(list, "data.json");
  const RecordSpan first = *scanner.next();
  EXPECT_EQ(first.begin.line, 2u);
  EXPECT_EQ(first.begin.column, 2u);
  const RecordSpan second = *scanner.next();
  EXPECT_EQ(second.begin.line, 5u);
  EXPECT_EQ(second.begin.column, 4u);
  JsonRecords lines("{}\n\n {}\n", "data.jsonl");
  EXPECT_EQ(lines.next()->begin.line, 1u);
  const RecordSpan last = *lines.next();
  EXPECT_EQ(last.begin.line, 3u);
  EXPECT_EQ(last.begin.column, 2u);
}

TEST(JsonRecords, WhatIsNoListOfRecordsIsRefusedByLine) {
  const std::pair<std::string, std::string> rows[] = {
      {"", "data.json: empty file"},
      {" \n", "empty file"},
      {"\xef\xbb\xbf[]", "byte order mark"},
      {"\xff\xfe[", "neither a JSON list of records nor JSON Lines: found byte 0xff"},
      {"3", "neither a JSON list"},
      {"<html>", "found \"<\""},
      {"[", "the list does not end: expected ] at line 1 col 2"},
      {"[{}", "the list does not end"},
      {"[{},", "a record does not end"},
      {"[{},\n]", "a record is missing: expected {...} between the commas at line 2 col 1"},
      {"[,{}]", "a record is missing"},
      {"[{}\n{}]", "no comma between two records: expected , or ] at line 2 col 1"},
      {"[{\"a\": \"b}]", "a record does not end: expected brackets and quotes that close at line 1 col 2"},
      {"[{\"a\": \"\\", "a record does not end"},
      {"[{}] x", "text behind the end of the list: expected nothing at line 1 col 6"},
      {"[}]", "a record is missing"},
  };
  for (const auto& [text, expected] : rows) EXPECT_THAT(failure(text), HasSubstr(expected)) << text;
}

TEST(JsonRecords, ARecordOfAnySizeUpToTheLimit) {
  const std::string text = "[{\"a\": \"" + std::string(10 << 20, 'x') + "\"}]";
  EXPECT_EQ(cut(text).size(), 1u);
  EXPECT_THAT(failure("[\"" + std::string(kLargestRecord, 'x') + "\"]"), HasSubstr("a record is too large"));
  EXPECT_THAT(failure("{" + std::string(kLargestRecord, 'x')), HasSubstr("a record is too large"));
}

}  // namespace
}  // namespace moellava
