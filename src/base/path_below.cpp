#include "base/path_below.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

namespace fs = std::filesystem;

fs::path path_below(const fs::path& folder, const std::string& name, std::string_view where) {
  std::error_code failure;
  const fs::path root = fs::canonical(folder, failure);
  if (failure || !fs::is_directory(root))
    throw make_error(ErrorKind::Io, printable(folder.string()), "no such folder");

  const std::string found = "\"" + printable(name) + "\"";
  const fs::path relative(name);
  const bool plain = !name.empty() && name.find('\0') == std::string::npos && relative.is_relative() &&
                     std::find(relative.begin(), relative.end(), "..") == relative.end();
  if (!plain) {
    throw bad_data(where, "not a path below the folder",
                   {.found = found, .expected = "a relative path without \"..\""});
  }
  fs::path path = fs::canonical(root / relative, failure);
  if (failure)
    throw bad_data(where, "no such file", {.found = "\"" + printable((folder / name).string()) + "\""});
  if (std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first != root.end())
    throw bad_data(where, "a link leads out of the folder",
                   {.found = found, .hint = "give the folder that holds the file itself"});
  if (!fs::is_regular_file(path)) throw bad_data(where, "not a regular file", {.found = found});
  return path;
}

}  // namespace moellava
