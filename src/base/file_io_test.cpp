#include "base/file_io.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <vector>

#include "base/error.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class FileIo : public testing::Test {
 protected:
  FileIo() {
    std::string pattern = (fs::temp_directory_path() / "moellava_base_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileIo() override { fs::remove_all(folder_); }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      found.push_back(entry.path().filename().string());
    return found;
  }
  fs::path folder_;
};

// The kind of error that `call` throws.
template <typename Call>
ErrorKind kind_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::Internal;
}

TEST_F(FileIo, WritesAndReadsBack) {
  const std::string content("a\0b", 3);
  write_file_atomic(folder_ / "f", content);
  EXPECT_EQ(read_file(folder_ / "f", 3), content);
  const MappedFile mapped(folder_ / "f");
  EXPECT_EQ(mapped.path(), folder_ / "f");
  ASSERT_EQ(mapped.bytes().size(), 3u);
  EXPECT_EQ(mapped.bytes()[2], std::byte{'b'});
  write_file_atomic(folder_ / "empty", "");
  EXPECT_EQ(read_file(folder_ / "empty", 0), "");
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

TEST_F(FileIo, RefusesFilesOverTheLimit) {
  write_file_atomic(folder_ / "f", "1234");
  EXPECT_EQ(kind_of([&] { read_file(folder_ / "f", 3); }), ErrorKind::Limit);
}

TEST_F(FileIo, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const fs::path& path : {folder_, folder_ / "pipe", fs::path("/dev/zero")}) {
    EXPECT_EQ(kind_of([&] { MappedFile file(path); }), ErrorKind::BadData) << path;
    EXPECT_EQ(kind_of([&] { read_file(path, 100); }), ErrorKind::BadData) << path;
  }
  EXPECT_EQ(kind_of([&] { MappedFile file(folder_ / "none"); }), ErrorKind::Io);
  EXPECT_EQ(kind_of([&] { read_file(folder_ / "none", 100); }), ErrorKind::Io);
}

TEST_F(FileIo, AtomicWriteReplacesTheWholeFile) {
  write_file_atomic(folder_ / "f", "a longer old content");
  write_file_atomic(folder_ / "f", [](const ByteSink& sink) {
    for (const char* part : {"new ", "content"}) sink(std::as_bytes(std::span(std::string_view(part))));
  });
  EXPECT_EQ(read_file(folder_ / "f", 100), "new content");
  EXPECT_EQ(names(), (std::vector<std::string>{"f"}));
}

// A writer that fails half-way leaves the old file and no temporary one.
TEST_F(FileIo, FailedWriteLeavesTheOldFile) {
  write_file_atomic(folder_ / "f", "old");
  EXPECT_EQ(kind_of([&] {
              write_file_atomic(folder_ / "f", [](const ByteSink& sink) {
                sink(std::as_bytes(std::span(std::string_view("half"))));
                throw limit_error("f", "enough");
              });
            }),
            ErrorKind::Limit);
  EXPECT_EQ(read_file(folder_ / "f", 100), "old");
  EXPECT_EQ(names(), (std::vector<std::string>{"f"}));
}

TEST_F(FileIo, WritingWhereNothingCanBeWrittenIsAnIoError) {
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder_ / "none" / "f", "x"); }), ErrorKind::Io);
  fs::create_directory(folder_ / "taken");
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder_ / "taken", "x"); }), ErrorKind::Io);
  EXPECT_EQ(names(), (std::vector<std::string>{"taken"}));
  EXPECT_EQ(kind_of([&] { fsync_folder(folder_ / "none"); }), ErrorKind::Io);
}

TEST(PlainFileName, RefusesPaths) {
  EXPECT_NO_THROW(require_plain_file_name("model-00001-of-00002.safetensors", "index"));
  EXPECT_NO_THROW(require_plain_file_name("..a", "index"));
  for (const std::string_view name :
       {std::string_view(""), std::string_view("."), std::string_view(".."), std::string_view("../x"),
        std::string_view("/etc/passwd"), std::string_view("a/b"), std::string_view("a\\b"),
        std::string_view("a\0b", 3)}) {
    EXPECT_EQ(kind_of([&] { require_plain_file_name(name, "index"); }), ErrorKind::BadData) << name;
  }
}

}  // namespace
}  // namespace moellava
