#include "text/normalise.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

TEST(Normalise, ComposesAndOrders) {
  EXPECT_EQ(to_nfc("e\xcc\x81"), "\xc3\xa9");                     // e + acute
  EXPECT_EQ(to_nfc("\xe2\x84\xab"), "\xc3\x85");                  // Angstrom sign
  EXPECT_EQ(to_nfc("\xe1\x84\x80\xe1\x85\xa1"), "\xea\xb0\x80");  // Hangul
  EXPECT_EQ(to_nfc("q\xcc\x87\xcc\xa3"), "q\xcc\xa3\xcc\x87");    // marks in canonical order
  EXPECT_EQ(to_nfc("\xef\xac\x81"), "\xef\xac\x81");              // a ligature is not NFC's business
  EXPECT_EQ(to_nfc("\xe0\xa5\x98"), "\xe0\xa4\x95\xe0\xa4\xbc");  // excluded from composition
}

TEST(Normalise, TheCharacterBeforeHangulsTrailingConsonantsStays) {
  const std::string syllable = "\xea\xb0\x80";                              // GA
  EXPECT_EQ(to_nfc(syllable + "\xe1\x86\xa8"), "\xea\xb0\x81");             // with KIYEOK: GAG
  EXPECT_EQ(to_nfc(syllable + "\xe1\x86\xa7"), syllable + "\xe1\x86\xa7");  // with what stands before it
  EXPECT_EQ(to_nfc("e\xcc\x81\xe1\x86\xa7"
                   "e\xcc\x81"),
            "\xc3\xa9\xe1\x86\xa7\xc3\xa9");
}

TEST(Normalise, OtherBytesStay) {
  EXPECT_EQ(to_nfc(""), "");
  EXPECT_EQ(to_nfc("plain"), "plain");
  EXPECT_EQ(to_nfc("\xff"
                   "e\xcc\x81"
                   "\xfe\xcc"),
            "\xff\xc3\xa9\xfe\xcc");
  EXPECT_EQ(to_nfc(std::string("e\xcc\x81\0x", 5)), std::string("\xc3\xa9\0x", 4));
}

}  // namespace
}  // namespace moellava
