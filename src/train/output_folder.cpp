#include "train/output_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLockName = ".train.lock";

// What a model or a run leaves in its folder.
bool is_result(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string extension = path.extension().string();
  return name == "config.json" || name == "trainer_state.json" || extension == ".safetensors" ||
         extension == ".bin" || name == "model.safetensors.index.json" || name == "generation_config.json" ||
         name == "preprocessor_config.json" || name.starts_with("tokenizer") ||
         name.starts_with("checkpoint-");
}

// The pid that the holder of a lock wrote into it.
std::string holder(int fd) {
  char text[32] = {};
  const ssize_t got = ::pread(fd, text, sizeof text - 1, 0);
  std::string pid(text, got > 0 ? static_cast<size_t>(got) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "unknown" : printable(pid);
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& path) : path_(path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (!fs::is_directory(path)) {
    throw io_error(path.string(), "cannot make the output folder", failure ? failure.value() : ENOTDIR);
  }
  lock();
  try {
    // Found out now rather than after hours of training.
    write_file_atomic(path_ / ".train.probe", "probe");
    fs::remove(path_ / ".train.probe");
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

void OutputFolder::lock() {
  const fs::path file = path_ / kLockName;
  while (true) {
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) throw io_error(file.string(), "cannot open", errno);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const std::string pid = holder(fd_);
      ::close(fd_);
      throw usage_error(path_.string(), "locked by pid " + pid, {.hint = "another run is writing there"});
    }
    // The holder removes its file at the end: a lock on a file without a name protects nothing.
    struct stat held {
    }, named{};
    const bool same =
        ::fstat(fd_, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_ino == named.st_ino;
    if (same) break;
    ::close(fd_);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) {
    const int reason = errno;
    ::close(fd_);
    throw io_error(file.string(), "cannot write", reason);
  }
}

OutputFolder::~OutputFolder() {
  ::unlink((path_ / kLockName).c_str());
  ::close(fd_);
}

void OutputFolder::require_unused() const {
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    if (!is_result(entry.path()) || entry.path().extension() == ".tmp") continue;
    throw usage_error("--output_dir", "holds files of a model or of another run",
                      {.found = "\"" + printable(entry.path().string()) + "\"",
                       .hint = "--overwrite_output_dir removes them"});
  }
}

void OutputFolder::clear() const {
  std::vector<fs::path> results;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    if (is_result(entry.path())) results.push_back(entry.path());
  }
  if (fs::is_directory(path_ / kEventFolder)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(path_ / kEventFolder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents."))
        results.push_back(entry.path());
    }
  }
  for (const fs::path& result : results) {
    std::error_code failure;
    fs::remove_all(result, failure);
    if (failure) throw io_error(result.string(), "cannot remove", failure.value());
  }
}

void OutputFolder::require_space(uint64_t bytes) const {
  std::error_code failure;
  const fs::space_info space = fs::space(path_, failure);
  if (failure || space.available >= bytes) return;
  throw make_error(
      ErrorKind::Io, path_.string(), "not enough free space",
      {.found = std::to_string(space.available >> 20) + " MiB",
       .expected = "at least " + std::to_string(bytes >> 20) + " MiB for checkpoints and the model"});
}

}  // namespace moellava
