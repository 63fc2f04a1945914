#include "base/changed_file.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "base/file_io.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class ChangedFile : public testing::Test {
 protected:
  ChangedFile() {
    std::string pattern = (fs::temp_directory_path() / "moellava_changed_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    write_file_atomic(folder_ / "weights", std::string(1 << 16, 'w'));
  }
  ~ChangedFile() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(ChangedFile, EndsTheProgramWithItsName) {
  EXPECT_EXIT(
      {
        report_changed_files();
        const MappedFile before(folder_ / "weights");
        { const MappedFile closed(folder_ / "weights"); }
        const MappedFile file(folder_ / "weights");
        fs::resize_file(folder_ / "weights", 10);
        volatile std::byte last = file.bytes().back();
        static_cast<void>(last);
      },
      testing::ExitedWithCode(3),
      "error: .*weights: changed while in use: found it shorter than when it was opened");
}

TEST_F(ChangedFile, OtherBusErrorsStayDeadly) {
  EXPECT_EXIT(
      {
        report_changed_files();
        { const MappedFile file(folder_ / "weights"); }
        std::raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace moellava
