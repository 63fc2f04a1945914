#include "eval/spreadsheet.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/crc.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

struct Part {
  std::string_view name;
  std::string content;
};

constexpr std::string_view kTypes = R"(<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
</Types>)";
constexpr std::string_view kRelations = R"(<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>
</Relationships>)";
constexpr std::string_view kWorkbook = R"(<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets>
</workbook>)";
constexpr std::string_view kSheets = R"(<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>
</Relationships>)";

std::string escaped(std::string_view text) {
  std::string xml;
  for (const char c : replace_invalid_utf8(text)) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '&') {
      xml += "&amp;";
    } else if (c == '<') {
      xml += "&lt;";
    } else if (c == '>') {
      xml += "&gt;";
    } else if (code < 0x20 && c != '\t' && c != '\n' && c != '\r') {
      xml += "\xef\xbf\xbd";
    } else {
      xml += c;
    }
  }
  return xml;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 15 && (text[0] != '0' || text.size() == 1) &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string sheet(const std::vector<std::vector<std::string>>& rows) {
  std::string xml =
      "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
      "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>\n";
  for (const std::vector<std::string>& row : rows) {
    xml += "<row>";
    for (const std::string& value : row) {
      xml += is_number(value)
                 ? "<c><v>" + value + "</v></c>"
                 : "<c t=\"inlineStr\"><is><t xml:space=\"preserve\">" + escaped(value) + "</t></is></c>";
    }
    xml += "</row>\n";
  }
  return xml + "</sheetData></worksheet>";
}

template <typename Number>
void put(std::string& bytes, Number number) {
  for (size_t i = 0; i < sizeof number; ++i)
    bytes += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i) & 0xff);
}

// What the local and the central header of an entry have in common: version 2.0, UTF-8 names, stored, the
// first of January 1980.
void put_entry(std::string& bytes, const Part& part) {
  put<uint16_t>(bytes, 20);
  put<uint16_t>(bytes, 1 << 11);
  put<uint16_t>(bytes, 0);
  put<uint16_t>(bytes, 0);
  put<uint16_t>(bytes, (1 << 5) | 1);
  put<uint32_t>(bytes, crc32(std::as_bytes(std::span(part.content))));
  put<uint32_t>(bytes, static_cast<uint32_t>(part.content.size()));
  put<uint32_t>(bytes, static_cast<uint32_t>(part.content.size()));
  put<uint16_t>(bytes, static_cast<uint16_t>(part.name.size()));
  put<uint16_t>(bytes, 0);  // no extra field
}

// A zip archive of stored entries.
std::string zip(std::span<const Part> parts) {
  std::string bytes, directory;
  for (const Part& part : parts) {
    directory += "PK\x01\x02";
    put<uint16_t>(directory, 20);
    put_entry(directory, part);
    put<uint16_t>(directory, 0);  // no comment
    put<uint16_t>(directory, 0);  // first disk
    put<uint16_t>(directory, 0);
    put<uint32_t>(directory, 0);
    put<uint32_t>(directory, static_cast<uint32_t>(bytes.size()));
    directory += part.name;
    bytes += "PK\x03\x04";
    put_entry(bytes, part);
    bytes.append(part.name).append(part.content);
  }
  const auto begin = static_cast<uint32_t>(bytes.size());
  bytes += directory + "PK\x05\x06";
  put<uint32_t>(bytes, 0);  // one disk
  put<uint16_t>(bytes, static_cast<uint16_t>(parts.size()));
  put<uint16_t>(bytes, static_cast<uint16_t>(parts.size()));
  put<uint32_t>(bytes, static_cast<uint32_t>(directory.size()));
  put<uint32_t>(bytes, begin);
  put<uint16_t>(bytes, 0);  // no comment
  return bytes;
}

}  // namespace

std::string spreadsheet(const std::vector<std::vector<std::string>>& rows) {
  const Part parts[] = {{"[Content_Types].xml", std::string(kTypes)},
                        {"_rels/.rels", std::string(kRelations)},
                        {"xl/workbook.xml", std::string(kWorkbook)},
                        {"xl/_rels/workbook.xml.rels", std::string(kSheets)},
                        {"xl/worksheets/sheet1.xml", sheet(rows)}};
  return zip(parts);
}

}  // namespace moellava
