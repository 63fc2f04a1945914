#include "base/whole_folder.hpp"

#include <string>

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

namespace fs = std::filesystem;

void write_whole_folder(const fs::path& folder, const std::function<void(const fs::path& partial)>& write) {
  if (fs::exists(folder)) throw make_error(ErrorKind::Io, folder.string(), "already there");
  const fs::path clean = folder.lexically_normal();
  const fs::path out = clean.has_filename() ? clean : clean.parent_path();  // "run/moe/" -> "run/moe"
  fs::path partial = out;
  partial += ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  write(partial);
  fs::rename(partial, out);
  fsync_folder(out.has_parent_path() ? out.parent_path() : fs::path("."));
}

}  // namespace moellava
