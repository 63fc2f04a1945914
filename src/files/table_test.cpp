#include "files/table.hpp"

#include <gmock/gmock.h>

#include "files/testing.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;

TEST(Table, IsReadAsPandasWritesIt) {
  const Table table(
      "index\tquestion\tA\r\n1\t\"two\nlines, a \"\"quote\"\" and a\ttab\"\t\r\n\n2\tplain\t漢\n", "t.tsv");
  EXPECT_THAT(table.columns(), ElementsAre("index", "question", "A"));
  ASSERT_EQ(table.rows(), 2U);
  EXPECT_EQ(table.field(0, "question"), "two\nlines, a \"quote\" and a\ttab");
  EXPECT_EQ(table.field(0, "A"), "");
  EXPECT_EQ(table.field(1, "A"), "漢");
  EXPECT_EQ(Table("a\n\"kept\r\"\r\n", "t.tsv").field(0, "a"), "kept\r");
  EXPECT_EQ(table.where(0), "t.tsv:2");
  EXPECT_EQ(table.where(1), "t.tsv:5");
}

TEST(Table, SaysWhatIsWrongAndWhere) {
  const std::string wide(1024, '\t');
  const std::vector<test::BadCase> cases = {
      {"nothing", "", "t.tsv: an empty file"},
      {"names", "a\ta\n1\t2\n", "t.tsv:1: a column is named twice"},
      {"length", "a\tb\n1\t2\n3\n", "t.tsv:3: a row of another length: found 1 fields, expected 2"},
      {"quote", "a\n1\n\"open\n", "t.tsv:3: a quote that is not closed"},
      {"column", "b\n1\n", "t.tsv:1: a: no such column"},
      {"width", "a\tb\n" + wide, "t.tsv:2: too many columns: expected at most 1024", ErrorKind::Limit},
  };
  test::expect_refused(cases, [](const std::string& bytes) { (void)Table(bytes, "t.tsv").field(0, "a"); });
}

}  // namespace
}  // namespace moellava
