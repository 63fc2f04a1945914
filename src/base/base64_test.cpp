#include "base/base64.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

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
  for (const char* text : {"Zm9!", "Z", "Zg=", "Zg===", "Z=g=", "Zm9v="}) {
    try {
      decode_base64(text, "here");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::StartsWith("here: ")) << text;
    }
  }
}

TEST(Base64, WhatIsEncodedComesBack) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(255 - i);
  EXPECT_EQ(decode_base64(encode_base64(bytes), "here"), bytes);
}

}  // namespace
}  // namespace moellava
