#include "base/file_io.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// Closes on scope exit, so that no path leaks a descriptor.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
    if (fd_ < 0) throw io_error(path.string(), "cannot open", errno);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The size of a regular file; folders, pipes and devices are refused before anything is read.
size_t regular_size(const Descriptor& fd, const fs::path& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw io_error(path.string(), "cannot stat", errno);
  if (!S_ISREG(info.st_mode)) throw bad_data(path.string(), "not a regular file");
  return static_cast<size_t>(info.st_size);
}

void write_all(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw io_error(path.string(), "cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer; it has no effect on regular files.
  const Descriptor fd(path, O_RDONLY | O_NONBLOCK);
  size_ = regular_size(fd, path);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (mapped == MAP_FAILED) throw io_error(path.string(), "cannot map", errno);
  data_ = static_cast<const std::byte*>(mapped);
  watch_.emplace(bytes(), path_.string());
}

MappedFile::~MappedFile() {
  watch_.reset();
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_file(const fs::path& path, uint64_t limit) {
  const Descriptor fd(path, O_RDONLY | O_NONBLOCK);
  const size_t size = regular_size(fd, path);
  if (size > limit) {
    throw limit_error(
        path.string(), "file too large",
        {.found = std::to_string(size) + " bytes", .expected = "at most " + std::to_string(limit)});
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error(path.string(), "cannot read", errno);
    if (got == 0) throw bad_data(path.string(), "file changed while it was read");
    done += static_cast<size_t>(got);
  }
  return content;
}

void write_file_atomic(const fs::path& path, const std::function<void(const ByteSink&)>& write) {
  fs::path temporary = path;
  temporary += ".tmp";
  try {
    const Descriptor fd(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write([&](std::span<const std::byte> bytes) { write_all(fd.get(), bytes, path); });
    if (::fsync(fd.get()) != 0) throw io_error(path.string(), "cannot flush to disk", errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    throw io_error(path.string(), "cannot rename into place", reason);
  }
  fsync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  write_file_atomic(path, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(content))); });
}

void fsync_folder(const fs::path& path) {
  const Descriptor fd(path, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) != 0) throw io_error(path.string(), "cannot flush to disk", errno);
}

void require_plain_file_name(std::string_view name, std::string_view where) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find('/') == std::string_view::npos && name.find('\\') == std::string_view::npos &&
                     name.find('\0') == std::string_view::npos;
  if (!plain) {
    throw bad_data(where, "not a plain file name",
                   {.found = "\"" + printable(name) + "\"", .expected = "a name without a path"});
  }
}

}  // namespace moellava
