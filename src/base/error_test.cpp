#include "base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace moellava {
namespace {

TEST(Error, MessageHasOneForm) {
  EXPECT_STREQ(bad_data("file", "broken").what(), "file: broken");
  EXPECT_STREQ(
      bad_data("file", "broken", {.found = "1", .expected = "2", .at = "byte 3", .hint = "try again"}).what(),
      "file: broken: found 1, expected 2 at byte 3 (try again)");
  EXPECT_STREQ(bad_data("file", "broken", {.expected = "2"}).what(), "file: broken: expected 2");
  EXPECT_STREQ(bad_data("file", "broken", {.at = "line 1 col 2"}).what(), "file: broken at line 1 col 2");
}

TEST(Error, KindsAreExitCodes) {
  EXPECT_EQ(make_error(ErrorKind::Internal, "a", "b").exit_code(), 1);
  EXPECT_EQ(usage_error("a", "b").exit_code(), 2);
  EXPECT_EQ(bad_data("a", "b").exit_code(), 3);
  EXPECT_EQ(io_error("a", "b", ENOENT).exit_code(), 4);
  EXPECT_EQ(limit_error("a", "b").exit_code(), 5);
  EXPECT_STREQ(io_error("a", "cannot open", ENOENT).what(), "a: cannot open: No such file or directory");
}

TEST(Printable, EscapesAndShortens) {
  EXPECT_EQ(printable("a b\xc3\xa4"), "a b\xc3\xa4");
  EXPECT_EQ(printable("a\n\x1b[31m\x7f"), "a\\x0a\\x1b[31m\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(printable(std::string(81, 'a')), std::string(80, 'a') + "...");
}

TEST(Nearest, FindsTheLikelyWord) {
  constexpr std::string_view kWords[] = {"learning-rate", "layers", "lr"};
  EXPECT_EQ(nearest("lerning-rate", kWords, 3), "learning-rate");
  EXPECT_EQ(nearest("layer", kWords, 3), "layers");
  EXPECT_EQ(nearest("temperature", kWords, 3), "");
  EXPECT_EQ(nearest("x", nullptr, 0), "");
}

}  // namespace
}  // namespace moellava
