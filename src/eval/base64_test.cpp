#include "eval/base64.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

// RFC 4648, 10.
TEST(Base64, DecodesTheStandardsExamples) {
  for (const auto& [text, bytes] : {std::pair{"", ""},
                                    {"Zg==", "f"},
                                    {"Zm8=", "fo"},
                                    {"Zm9v", "foo"},
                                    {"Zm9vYg==", "foob"},
                                    {"Zm9vYmE=", "fooba"},
                                    {"Zm9vYmFy", "foobar"},
                                    {"Zm9vYg", "foob"},
                                    {"Zm9v\nYmFy", "foobar"}}) {
    EXPECT_EQ(decode_base64(text, "here"), bytes) << text;
  }
  EXPECT_EQ(decode_base64("+/8A", "here"), std::string("\xfb\xff\x00", 3));
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Zm9!", "Z", "Zg=", "Zg===", "Z=g=", "Zm9v="})
    EXPECT_THAT(testing::refusal_of([&] { decode_base64(text, "here"); }), ::testing::StartsWith("here: "))
        << text;
}

}  // namespace
}  // namespace moellava
