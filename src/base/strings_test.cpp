#include "base/strings.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace moellava {
namespace {

TEST(Strings, AreJoined) {
  EXPECT_EQ(joined(std::vector<std::string>{}), "");
  EXPECT_EQ(joined(std::vector<std::string_view>{"a"}), "a");
  EXPECT_EQ(joined(std::vector<std::string>{"a", "", "b"}), "a, , b");
  EXPECT_EQ(joined(std::vector<int>{1, 2, 3}, " and ", [](int n) { return std::to_string(10 * n); }),
            "10 and 20 and 30");
}

TEST(Strings, AreReplaced) {
  EXPECT_EQ(replace_all("", "a", "b"), "");
  EXPECT_EQ(replace_all("aXbXX", "X", ""), "ab");
  EXPECT_EQ(replace_all("a b", " ", "  "), "a  b");
  EXPECT_EQ(replace_all("aaa", "aa", "a"), "aa");
}

}  // namespace
}  // namespace moellava
