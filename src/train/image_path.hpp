// Picture names out of data files, resolved so that none leaves the image folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace moellava {

struct ImageFile {
  std::filesystem::path path;
  uint64_t bytes = 0;
};

class ImageRoot {
 public:
  // An empty folder means that the data may not have pictures.
  explicit ImageRoot(const std::filesystem::path& folder);

  // `name` is a relative path without "..", of a regular file that no link leads out of the folder. Throws
  // BadData naming `where` otherwise.
  ImageFile find(const std::string& name, const std::string& where) const;

 private:
  std::filesystem::path folder_;
  std::filesystem::path canonical_;
};

}  // namespace moellava
