#include "base/cache_folder.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/error.hpp"

namespace moellava {

namespace fs = std::filesystem;

fs::path cache_folder(const std::string& name) {
  // The XDG specification: a relative path counts as unset.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return fs::path(cache) / "moe-llava" / name;
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] != '\0') return fs::path(home) / ".cache" / "moe-llava" / name;
  throw usage_error("cache", "no folder for it", {.expected = "XDG_CACHE_HOME or HOME in the environment"});
}

void publish_file(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  static std::atomic<unsigned> number = 0;
  fs::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + "." + std::to_string(number++);
  try {
    fs::create_directories(path.parent_path());
    write(temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      throw io_error(path.string(), "cannot rename into place", errno);
  } catch (const fs::filesystem_error& error) {
    throw io_error(path.string(), "cannot write", error.code().value());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace moellava
