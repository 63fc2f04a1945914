#include "eval/table.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Tables : public ::testing::Test {
 protected:
  Table read(const std::string& content) const { return Table(folder_.write("t.tsv", content)); }
  const testing::TemporaryFolder folder_;
};

TEST_F(Tables, ReadWhatPandasWrites) {
  const Table table =
      read("index\tquestion\tA\r\n1\t\"two\nlines, a \"\"quote\"\" and a\ttab\"\t\r\n\n2\tplain\t漢\n");
  EXPECT_THAT(table.columns(), ElementsAre("index", "question", "A"));
  ASSERT_EQ(table.rows(), 2U);
  EXPECT_EQ(table.field(0, "question"), "two\nlines, a \"quote\" and a\ttab");
  EXPECT_EQ(table.field(0, "A"), "");
  EXPECT_EQ(table.field(1, "A"), "漢");
  EXPECT_THAT(table.where(0), ::testing::EndsWith("t.tsv:2"));
  EXPECT_THAT(table.where(1), ::testing::EndsWith("t.tsv:5"));
}

TEST_F(Tables, NameWhatIsWrong) {
  const auto refusal = [&](const std::string& content) {
    return testing::refusal_of([&] { read(content).field(0, "a"); });
  };
  EXPECT_THAT(refusal(""), HasSubstr("t.tsv: an empty file"));
  EXPECT_THAT(refusal("a\ta\n1\t2\n"), HasSubstr("t.tsv:1: a column is named twice"));
  EXPECT_THAT(refusal("a\tb\n1\t2\n3\n"), HasSubstr("t.tsv:3: a row of another length: found 1 fields"));
  EXPECT_THAT(refusal("a\n1\n\"open\n"), HasSubstr("t.tsv:3: a quote that is not closed"));
  EXPECT_THAT(refusal("b\n1\n"), HasSubstr("t.tsv:1: a: no such column"));
}

}  // namespace
}  // namespace moellava
