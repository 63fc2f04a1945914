#include "train/event_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/string_printf.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += string_printf("%02x", static_cast<unsigned char>(c));
  return text;
}

const std::vector<Scalar> kScalars = {{"train/loss", 1.5}, {"dropped/layer_1", 0.0}};

// The bytes that tensorboard 2.20.0's RecordWriter makes of the same events.
TEST(EventRecords, AreTheBytesOfTensorBoard) {
  EXPECT_EQ(hex(event_version_record(1000.5)),
            "1800000000000000a37f4b22090000000000448f401a0d627261696e2e4576656e743a32aba33345");
  EXPECT_EQ(hex(event_restart_record(1001.25, 300)),
            "100000000000000095fbfe180900000000004a8f4010ac023a020801bfaf5836");
  EXPECT_EQ(
      hex(event_scalars_record(1002, 300, kScalars)),
      "39000000000000008b0737f1090000000000508f4010ac022a2b0a110a0a747261696e2f6c6f7373150000c03f0a160a0f64"
      "726f707065642f6c617965725f3115000000005409acd6");
}

TEST(EventFile, NeverTouchesAnEarlierOne) {
  const fs::path folder = fs::path(testing::TempDir()) / "event_file" / "runs";
  fs::remove_all(folder.parent_path());
  fs::path first;
  {
    EventFile events(folder, 1);
    events.add(1, kScalars);
    first = events.path();
  }
  EXPECT_THAT(first.filename().string(), testing::StartsWith("events.out.tfevents."));
  const std::string before = read_file(first, 1 << 20);
  const std::string scalars = event_scalars_record(0, 1, kScalars);
  const std::string version = event_version_record(0);
  EXPECT_EQ(before.size(), version.size() + scalars.size());
  // A run that goes on: another file, which says from where.
  EventFile events(folder, 7);
  events.add(7, kScalars);
  EXPECT_NE(events.path(), first);
  EXPECT_EQ(read_file(first, 1 << 20), before);
  EXPECT_EQ(read_file(events.path(), 1 << 20).size(),
            version.size() + event_restart_record(0, 7).size() + scalars.size());
  fs::remove_all(folder.parent_path());
}

TEST(EventFile, SaysWhereItCannotWrite) {
  const fs::path file = fs::path(testing::TempDir()) / "event_file_in_the_way";
  write_file_atomic(file, "");
  try {
    EventFile events(file / "runs", 1);
    ADD_FAILURE() << "made";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Io);
    EXPECT_THAT(error.what(), testing::HasSubstr("event_file_in_the_way/runs: cannot be made"));
  }
  fs::remove(file);
}

}  // namespace
}  // namespace moellava
