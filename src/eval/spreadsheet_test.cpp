#include "eval/spreadsheet.hpp"

#include <gmock/gmock.h>

#include <span>

#include "files/zip_reader.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

std::string sheet_of(const std::string& file) {
  const ZipReader zip(std::as_bytes(std::span(file)), "table.xlsx");
  EXPECT_EQ(zip.entries().size(), 5U);
  const ZipEntry* sheet = zip.find("xl/worksheets/sheet1.xml");
  if (sheet == nullptr) return "";
  const auto bytes = zip.read(*sheet);  // which checks its CRC
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Spreadsheet, HoldsNumbersAndText) {
  const std::string sheet = sheet_of(spreadsheet({{"index", "a"}, {"241", "red & <blue>\n"}, {"007", ""}}));
  EXPECT_THAT(sheet, HasSubstr("<row><c t=\"inlineStr\"><is><t xml:space=\"preserve\">index</t></is></c>"));
  EXPECT_THAT(sheet, HasSubstr("<row><c><v>241</v></c><c t=\"inlineStr\"><is><t xml:space=\"preserve\">"
                               "red &amp; &lt;blue&gt;\n</t></is></c></row>"));
  EXPECT_THAT(sheet, HasSubstr("<t xml:space=\"preserve\">007</t>"));
}

TEST(Spreadsheet, HoldsNothingThatXmlCannot) {
  EXPECT_THAT(sheet_of(spreadsheet({{"a\x01 b\xff é"}})), HasSubstr(">a\uFFFD b\uFFFD é<"));
}

}  // namespace
}  // namespace moellava
