#include "draw/picture.hpp"

#include "base/error.hpp"
#include "base/file_io.hpp"

namespace moellava {

void write_picture(const std::filesystem::path& path, const Picture& picture) {
  const std::string extension = path.extension().string();
  if (extension == ".svg") return write_file_atomic(path, svg_of(picture));
  if (extension == ".png") return write_file_atomic(path, png_of(picture));
  throw usage_error(printable(path.string()), "no picture format that can be written",
                    {.found = "\"" + printable(extension) + "\"", .expected = ".svg or .png"});
}

}  // namespace moellava
