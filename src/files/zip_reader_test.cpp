#include "files/zip_reader.hpp"

#include <gtest/gtest.h>

#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::le;
using test::raw;
using test::ZipBuilder;
using test::ZipHeader;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ZipReader, ReadsStoredEntries) {
  for (const bool wide : {false, true}) {
    ZipBuilder builder;
    builder.add("m/a", "hello").add("m/empty", "").add("m/sub/b", "world");
    const std::string bytes = wide ? builder.finish64() : builder.finish();
    const ZipReader zip(test::bytes_of(bytes), "file");
    ASSERT_EQ(zip.entries().size(), 3u);
    ASSERT_NE(zip.find("m/sub/b"), nullptr);
    EXPECT_EQ(text_of(zip.read(*zip.find("m/sub/b"))), "world");
    EXPECT_EQ(text_of(zip.read(*zip.find("m/empty"))), "");
    EXPECT_EQ(zip.find("m"), nullptr);
  }
}

// torch.save: sizes and CRC stand behind the data; the local header leaves them zero.
TEST(ZipReader, ReadsDataDescriptors) {
  for (const bool wide : {false, true}) {
    ZipBuilder builder;
    builder.add("m/a", "hello", [&](ZipHeader& local, ZipHeader& central) {
      local.flags = central.flags = 0x0808;
      local.data += raw("PK\7\x8") + le(local.crc);
      local.data += wide ? le<uint64_t>(5) + le<uint64_t>(5) : le<uint32_t>(5) + le<uint32_t>(5);
      local.crc = local.size = local.stored = 0;
      local.extra = raw("FB\2\0ZZ");
    });
    const std::string bytes = builder.add("m/b", "x").finish64();
    const ZipReader zip(test::bytes_of(bytes), "file");
    EXPECT_EQ(text_of(zip.read(*zip.find("m/a"))), "hello");
  }
}

// Files over 4 GiB: the values stand in ZIP64 fields and records. Small values may stand there too.
TEST(ZipReader, ReadsZip64Fields) {
  ZipBuilder builder;
  builder.add("m/a", "hello").add("m/b", "world", [&](ZipHeader& local, ZipHeader& central) {
    central.extra = raw("\x99\x00\x02\x00zz") + raw("\x01\x00\x18\x00") + le<uint64_t>(central.size) +
                    le<uint64_t>(central.stored) + le<uint64_t>(central.local);
    central.size = central.stored = central.local = 0xffffffff;
    EXPECT_EQ(local.size, 5u);
  });
  const std::string bytes = builder.finish64(/*saturated=*/true);
  const ZipReader zip(test::bytes_of(bytes), "file");
  EXPECT_EQ(text_of(zip.read(*zip.find("m/b"))), "world");
}

std::string one_entry(const ZipBuilder::Falsify& falsify, const std::string& name = "m/a") {
  return ZipBuilder().add(name, "hello", falsify).finish();
}

TEST(ZipReader, RefusesBadEntries) {
  const std::vector<BadCase> cases = {
      {"encrypted", one_entry([](auto& l, auto& c) { l.flags = c.flags = 1; }), "unsupported flags"},
      {"flag in one header", one_entry([](auto& l, auto&) { l.flags = 0; }), "local header differs"},
      {"deflated", one_entry([](auto& l, auto& c) { l.method = c.method = 8; }),
       "compressed entry: found method 8, expected 0 (stored)"},
      {"deflated in one header", one_entry([](auto& l, auto&) { l.method = 8; }), "local header differs"},
      {"other CRC", one_entry([](auto& l, auto&) { l.crc ^= 1; }), "local header differs"},
      {"other size", one_entry([](auto& l, auto&) { l.size = 4; }), "local header differs"},
      {"other stored size", one_entry([](auto& l, auto&) { l.stored = 4; }), "local header differs"},
      {"other name", one_entry([](auto& l, auto&) { l.name = "m/b"; }), "local header has another name"},
      {"zero sizes without descriptor", one_entry([](auto& l, auto&) { l.size = l.stored = 0; }),
       "local header differs"},
      {"wrong descriptor", one_entry([](auto& l, auto& c) {
         l.flags = c.flags = 8;
         l.data += raw("PK\7\x8") + le(l.crc) + le<uint32_t>(5) + le<uint32_t>(6);
       }),
       "data descriptor differs"},
      {"no descriptor", one_entry([](auto& l, auto& c) { l.flags = c.flags = 8; }),
       "data descriptor differs"},
      {"sizes differ", one_entry([](auto& l, auto& c) { l.stored = c.stored = 4; }), "stored size differs"},
      {"too large", one_entry([](auto& l, auto& c) { l.size = l.stored = c.size = c.stored = 60'000; }),
       "entry \"m/a\": truncated"},
      {"ZIP64 field missing", one_entry([](auto&, auto& c) { c.size = 0xffffffff; }),
       "ZIP64 field is missing"},
      {"ZIP64 field short", one_entry([](auto&, auto& c) {
         c.size = 0xffffffff;
         c.extra = raw("\x01\x00\x04\x00zzzz");
       }),
       "truncated"},
      {"ZIP64 size forged", one_entry([](auto&, auto& c) {
         c.size = c.stored = 0xffffffff;
         c.extra = raw("\x01\x00\x10\x00") + le<uint64_t>(1ull << 62) + le<uint64_t>(1ull << 62);
       }),
       "local header differs"},
      {"ZIP64 size forged in both", one_entry([](auto& l, auto& c) {
         l.size = l.stored = c.size = c.stored = 0xffffffff;
         c.extra = raw("\x01\x00\x10\x00") + le<uint64_t>(UINT64_MAX) + le<uint64_t>(UINT64_MAX);
       }),
       "truncated"},
      {"local header behind the data", one_entry([](auto&, auto& c) { c.local = 10'000; }),
       "lies behind the data"},
      {"local header off by one", one_entry([](auto&, auto& c) { c.local = 1; }),
       "local header has no signature"},
      {"path upwards", one_entry(nullptr, "../x"), "unsafe entry name"},
      {"path upwards inside", one_entry(nullptr, "m/../../x"), "unsafe entry name"},
      {"absolute", one_entry(nullptr, "/x"), "unsafe entry name"},
      {"NUL", one_entry(nullptr, raw("a\0b")), "entry \"a\\x00b\": unsafe entry name"},
      {"empty name", one_entry(nullptr, ""), "unsafe entry name"},
      {"backslash", one_entry(nullptr, "m\\a"), "unsafe entry name"},
      {"twice", ZipBuilder().add("m/a", "1").add("m/a", "2").finish(),
       "entry \"m/a\": two entries of this name"},
      {"two names for one local header",
       ZipBuilder().add("m/a", "1").add("m/b", "1", [](auto&, auto& c) { c.local = 0; }).finish(),
       "local header has another name"},
  };
  test::expect_refused(cases, [](const std::string& bytes) { ZipReader(test::bytes_of(bytes), "file"); });
}

// An entry whose data is itself a local entry: both headers are right, their bytes overlap.
TEST(ZipReader, RefusesOverlappingEntries) {
  const std::string inner = ZipBuilder().add("m/b", "x").entries();
  ZipBuilder builder;
  builder.add("m/a", inner);
  const size_t inner_at = builder.entries().size() - inner.size();
  builder.add("m/b", "x", [&](auto& local, auto& central) {
    central.local = static_cast<uint32_t>(inner_at);
    EXPECT_EQ(local.name, "m/b");
  });
  test::expect_refused({{"nested", builder.finish(), "entry \"m/b\": overlaps entry \"m/a\""}},
                       [](const std::string& bytes) { ZipReader(test::bytes_of(bytes), "file"); });
}

TEST(ZipReader, RefusesBadEnds) {
  ZipBuilder good;
  good.add("m/a", "hello");
  const std::string body = good.entries() + good.directory();
  const size_t size = good.directory().size();
  const size_t offset = good.entries().size();
  const auto end = ZipBuilder::end;
  std::string commented = good.finish();
  commented.replace(commented.size() - 2, 2, le<uint16_t>(3));
  std::string zip64_forged = good.finish64();
  zip64_forged.replace(zip64_forged.size() - 22 - 20 - 56 + 40, 8, le<uint64_t>(UINT64_MAX));
  std::string zip64_moved = good.finish64();
  zip64_moved.replace(zip64_moved.size() - 22 - 20 + 8, 8, le<uint64_t>(0));
  const std::vector<BadCase> cases = {
      {"empty", "", "no end record"},
      {"no end record", body, "no end record"},
      {"bytes behind", good.finish() + "x", "no end record"},
      {"comment", commented + "abc", "no end record"},
      {"comment length only", commented, "zip archive has a comment"},
      {"two end records", good.finish() + end(1, size, offset),
       "central directory does not end at the end record"},
      {"directory too long", body + end(1, size + 1, offset), "does not end at the end record"},
      {"directory elsewhere", body + end(1, size, offset - 1), "does not end at the end record"},
      {"directory past the file", body + end(1, size, 0xfffffff0), "does not end at the end record"},
      {"one entry too many", body + end(2, size, offset), "truncated"},
      {"one entry too few", body + end(0, size, offset), "central directory is longer than its entries"},
      {"a million entries",
       good.entries() + raw("PK\6\6") + le<uint64_t>(44) + le<uint32_t>(0) + le<uint64_t>(0) +
           le<uint64_t>(1'000'000) + le<uint64_t>(1'000'000) + le<uint64_t>(0) + le<uint64_t>(offset) +
           raw("PK\6\7") + le<uint32_t>(0) + le<uint64_t>(offset) + le<uint32_t>(1) + end(0xffff, 0, offset),
       "too many zip entries: found 1000000"},
      {"ZIP64 size forged", zip64_forged, "ZIP64 end record differs from the end record"},
      {"ZIP64 record elsewhere", zip64_moved, "ZIP64 end record is not where its locator says"},
      {"saturated without ZIP64", body + end(0xffff, 0xffffffff, 0xffffffff),
       "does not end at the end record"},
  };
  test::expect_refused(cases, [](const std::string& bytes) { ZipReader(test::bytes_of(bytes), "file"); });
}

TEST(ZipReader, FindsDamagedData) {
  std::string bytes = ZipBuilder().add("m/a", "hello").finish();
  bytes[bytes.find("hello")] ^= 0x20;
  const ZipReader zip(test::bytes_of(bytes), "file");
  test::expect_refused({{"flipped", "", "file: entry \"m/a\": CRC is wrong"}},
                       [&](const std::string&) { zip.read(*zip.find("m/a")); });
}

TEST(ZipReader, RefusesEveryTruncation) {
  const std::string whole = ZipBuilder().add("m/a", "hello").finish64();
  EXPECT_NO_THROW(ZipReader(test::bytes_of(whole), "file"));
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string part = whole.substr(0, size);
    EXPECT_THROW(ZipReader(test::bytes_of(part), "file"), Error) << size;
  }
}

}  // namespace
}  // namespace moellava
