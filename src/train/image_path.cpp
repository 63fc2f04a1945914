#include "train/image_path.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

bool is_below(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

}  // namespace

ImageRoot::ImageRoot(const fs::path& folder) : folder_(folder) {
  if (folder.empty()) return;
  std::error_code failure;
  canonical_ = fs::canonical(folder, failure);
  if (failure || !fs::is_directory(canonical_)) {
    throw make_error(ErrorKind::Io, "image_folder", "no such folder",
                     {.found = "\"" + printable(folder.string()) + "\""});
  }
}

ImageFile ImageRoot::find(const std::string& name, const std::string& where) const {
  if (folder_.empty()) {
    throw usage_error(where, "the data has pictures",
                      {.expected = "--image_folder, the folder that holds them"});
  }
  const std::string found = "\"" + printable(name) + "\"";
  const fs::path relative(name);
  const bool plain = !name.empty() && name.find('\0') == std::string::npos && relative.is_relative() &&
                     std::find(relative.begin(), relative.end(), "..") == relative.end();
  if (!plain) {
    throw bad_data(where, "not a path below the image folder",
                   {.found = found, .expected = "a relative path without \"..\""});
  }
  std::error_code failure;
  const fs::path path = fs::canonical(folder_ / relative, failure);
  if (failure)
    throw bad_data(where, "no such picture",
                   {.found = "\"" + printable((folder_ / relative).string()) + "\""});
  if (!is_below(path, canonical_)) {
    throw bad_data(where, "a link leads out of the image folder",
                   {.found = found, .hint = "give the folder that holds the pictures as --image_folder"});
  }
  if (!fs::is_regular_file(path)) throw bad_data(where, "not a regular file", {.found = found});
  const uint64_t bytes = fs::file_size(path, failure);
  if (failure) throw bad_data(where, "cannot be read", {.found = found});
  return {.path = path, .bytes = bytes};
}

}  // namespace moellava
