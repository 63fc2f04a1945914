// A save that ends at any of its system calls, by death or by an error: SQLite's way of testing, with ptrace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/error.hpp"
#include "train/checkpoint.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

// What changes a disk, by number.
bool changes_files(uint64_t call) {
  constexpr uint64_t calls[] = {SYS_write,     SYS_pwrite64, SYS_fsync,     SYS_fdatasync,
                                SYS_openat,    SYS_open,     SYS_rename,    SYS_renameat,
                                SYS_renameat2, SYS_mkdir,    SYS_mkdirat,   SYS_unlink,
                                SYS_unlinkat,  SYS_rmdir,    SYS_ftruncate, SYS_link};
  return std::find(std::begin(calls), std::end(calls), call) != std::end(calls);
}

constexpr int kNoTracing = 99;  // exit statuses of the child
constexpr int kFailed = 4;

enum class Ending { Finished, Failed, Killed, NotTraced };

// Runs `work` in a child of its own. Just before the child's `nth` call that changes files, counted from 1,
// it is killed; or, when `error` is not 0, the call fails with it.
class Crash {
 public:
  Crash(int64_t nth, int error) : nth_(nth), error_(error) {}

  Ending run(const std::function<void()>& work) {
    child_ = ::fork();
    if (child_ == 0) be_child(work);
    int status = 0;
    ::waitpid(child_, &status, 0);
    if (WIFEXITED(status)) return Ending::NotTraced;
    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    int signal = 0;
    while (true) {
      ::ptrace(PTRACE_SYSCALL, child_, nullptr, signal);
      ::waitpid(child_, &status, 0);
      signal = 0;
      if (WIFSIGNALED(status)) return Ending::Killed;
      if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? Ending::Finished : Ending::Failed;
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        at_call();
      } else {
        signal = WSTOPSIG(status);
      }
    }
  }

 private:
  [[noreturn]] static void be_child(const std::function<void()>& work) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNoTracing);
    ::raise(SIGSTOP);
    try {
      work();
    } catch (const Error& error) {
      ::_exit(error.kind() == ErrorKind::Io ? kFailed : 1);
    }
    ::_exit(0);
  }

  // The child stands before or behind a system call.
  void at_call() {
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, child_, nullptr, &registers);
    before_ = !before_;
    if (before_) {
      failing_ = changes_files(registers.orig_rax) && ++count_ == nth_;
      if (!failing_) return;
      if (error_ == 0) {
        ::kill(child_, SIGKILL);
        return;
      }
      registers.orig_rax = static_cast<uint64_t>(-1);  // no such call
      ::ptrace(PTRACE_SETREGS, child_, nullptr, &registers);
    } else if (failing_) {
      registers.rax = static_cast<uint64_t>(-error_);
      ::ptrace(PTRACE_SETREGS, child_, nullptr, &registers);
      failing_ = false;
    }
  }

  pid_t child_ = 0;
  int64_t nth_;
  int error_;
  int64_t count_ = 0;
  bool before_ = false;
  bool failing_ = false;
};

class CheckpointCrash : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("checkpoint_crash_" + std::to_string(GetParam()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void save(const fs::path& folder, int64_t step) {
    AdamW adamw({{"w", at::full({2, 3}, static_cast<double>(step))}}, {});
    save_checkpoint(folder, {.step = step, .settings = {{"seed", 1}}, .data_hash = "abc"}, adamw, /*keep=*/2);
  }
  // A folder with these checkpoints, as if nothing had happened.
  void start_again(const std::vector<int64_t>& steps) const {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const int64_t step : steps) save(folder_, step);
  }
  // The step of the newest whole checkpoint, which must be what was saved; 0 when there is none.
  int64_t newest() const {
    const auto found = newest_checkpoint(folder_);
    if (!found) return 0;
    AdamW adamw({{"w", at::zeros({2, 3})}}, {});
    restore_checkpoint(*found, adamw);
    EXPECT_TRUE(adamw.parameters()[0].tensor.equal(at::full({2, 3}, static_cast<double>(found->state.step))));
    return found->state.step;
  }

  fs::path folder_;
};

// Killed (0) or with this errno at every call of one save, with checkpoints before it and without.
TEST_P(CheckpointCrash, OldOrNewIsThereWhereverASaveEnds) {
  for (const std::vector<int64_t>& before : {std::vector<int64_t>{1, 2}, std::vector<int64_t>{}}) {
    const int64_t old = before.empty() ? 0 : before.back();
    bool finished = false;
    int64_t nth = 1;
    for (; !finished; ++nth) {
      ASSERT_LT(nth, 1000);
      start_again(before);
      const Ending ending = Crash(nth, GetParam()).run([&] { save(folder_, 3); });
      if (ending == Ending::NotTraced) GTEST_SKIP() << "ptrace is not permitted here";
      finished = ending == Ending::Finished;
      const int64_t found = newest();
      EXPECT_TRUE(found == old || found == 3) << "call " << nth << ": " << found;
      EXPECT_TRUE(!finished || found == 3) << found;
      // The run goes on as if nothing had been.
      remove_unfinished_saves(folder_);
      save(folder_, 3);
      EXPECT_EQ(newest(), 3) << "call " << nth;
      save(folder_, 4);
      EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{4, 3})) << "call " << nth;
    }
    EXPECT_GT(nth, 40);  // it did count
  }
}

INSTANTIATE_TEST_SUITE_P(Endings, CheckpointCrash, testing::Values(0, ENOSPC, EIO, EDQUOT));

}  // namespace
}  // namespace moellava
