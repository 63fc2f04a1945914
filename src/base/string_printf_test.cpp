#include "base/string_printf.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

TEST(StringPrintf, WritesWhatPrintfWrites) {
  EXPECT_EQ(string_printf("%s: %.1f %%, %5d", "dog", 12.34, 7), "dog: 12.3 %,     7");
  EXPECT_EQ(string_printf("%s", ""), "");
  const std::string lengthy(5000, 'x');
  EXPECT_EQ(string_printf("<%s>", lengthy.c_str()), "<" + lengthy + ">");
}

}  // namespace
}  // namespace moellava
