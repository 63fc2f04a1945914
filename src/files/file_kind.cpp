#include "files/file_kind.hpp"

#include <algorithm>
#include <cctype>

#include "files/bytes.hpp"

namespace moellava {

namespace {

using namespace std::string_view_literals;

// What pickle protocol 2 makes of torch's magic number 0x1950a86a20f9469cfc6c.
constexpr std::string_view kTorchMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;

bool looks_like_html(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return false;
  std::string start(text.substr(first, 9));
  std::transform(start.begin(), start.end(), start.begin(), [](unsigned char c) { return std::tolower(c); });
  return start == "<!doctype" || start.starts_with("<html") || start.starts_with("<head") ||
         start.starts_with("<?xml");
}

const char* kind_text(FileKind kind) {
  switch (kind) {
    case FileKind::Safetensors:
      return "a safetensors file";
    case FileKind::TorchZip:
      return "a zip archive (torch.save)";
    case FileKind::TorchLegacy:
      return "a torch.save file of the legacy format";
    case FileKind::Gguf:
      return "a GGUF file";
    case FileKind::Tar:
      return "a tar archive (torch.save before 0.1.10?)";
    case FileKind::Gzip:
      return "gzip-compressed data";
    case FileKind::Hdf5:
      return "an HDF5 file";
    case FileKind::GitLfsPointer:
    case FileKind::Html:
    case FileKind::Unknown:
      break;
  }
  return "bytes of an unknown format";
}

}  // namespace

FileKind file_kind(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes.first(std::min<size_t>(bytes.size(), 512)));
  if (text.starts_with("PK\x03\x04"sv)) return FileKind::TorchZip;
  if (text.starts_with(kTorchMagic)) return FileKind::TorchLegacy;
  if (text.starts_with("GGUF"sv)) return FileKind::Gguf;
  if (text.starts_with("version https://git-lfs"sv)) return FileKind::GitLfsPointer;
  if (text.starts_with("\x1f\x8b"sv)) return FileKind::Gzip;
  if (text.starts_with("\x89HDF"sv)) return FileKind::Hdf5;
  if (text.size() >= 262 && text.substr(257, 5) == "ustar") return FileKind::Tar;
  if (text.size() > 8 && text[8] == '{') return FileKind::Safetensors;
  if (looks_like_html(text)) return FileKind::Html;
  return FileKind::Unknown;
}

Error wrong_kind(const std::string& where, std::span<const std::byte> bytes, const std::string& expected) {
  const FileKind kind = file_kind(bytes);
  const std::string size = std::to_string(bytes.size()) + " bytes";
  if (kind == FileKind::GitLfsPointer) {
    return bad_data(where, "Git LFS pointer, not the model",
                    {.found = size, .expected = expected, .hint = "run git lfs pull"});
  }
  if (kind == FileKind::Html) {
    return bad_data(where, "HTML page, not the model",
                    {.found = size, .expected = expected, .hint = "the download answered with a web page"});
  }
  return bad_data(where, "wrong file format",
                  {.found = std::string(kind_text(kind)) + " of " + size, .expected = expected});
}

}  // namespace moellava
