#include "train/checkpoint_manifest.hpp"

#include "base/crc.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr const char* kManifest = "manifest.json";
constexpr const char* kComplete = "COMPLETE";

std::string sum_text(std::span<const std::byte> bytes) {
  return string_printf("%08x", crc32c(bytes));
}

// What COMPLETE holds.
std::string seal_of(const std::string& manifest) {
  return "crc32c of manifest.json: " + sum_text(std::as_bytes(std::span(manifest))) + "\n";
}

Error damaged(const fs::path& file, const std::string& found, const std::string& expected) {
  return bad_data(file.string(), "damaged", {.found = found, .expected = expected});
}

void verify_file(const fs::path& file, uint64_t bytes, const std::string& sum) {
  if (!fs::exists(file)) throw damaged(file, "no file", std::to_string(bytes) + " bytes");
  const MappedFile mapped(file);
  if (mapped.bytes().size() != bytes)
    throw damaged(file, std::to_string(mapped.bytes().size()) + " bytes", std::to_string(bytes));
  if (const std::string found = sum_text(mapped.bytes()); found != sum)
    throw damaged(file, "CRC-32C " + found, sum);
}

}  // namespace

void seal_checkpoint(const fs::path& folder) {
  Json files = Json::object();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const MappedFile mapped(entry.path());
    files[entry.path().filename().string()] = {{"bytes", mapped.bytes().size()},
                                               {"crc32c", sum_text(mapped.bytes())}};
  }
  const std::string manifest = Json{{"files", files}}.dump(1) + "\n";
  write_file_atomic(folder / kManifest, manifest);
  write_file_atomic(folder / kComplete, seal_of(manifest));
}

void verify_checkpoint(const fs::path& folder, const std::vector<std::string>& needed) {
  constexpr uint64_t kLongestSeal = 1024;
  constexpr uint64_t kLongestManifest = 16 << 20;
  if (!fs::exists(folder / kComplete))
    throw bad_data(folder.string(), "incomplete", {.hint = "the run ended while it was written"});
  if (!fs::exists(folder / kManifest)) throw damaged(folder / kManifest, "no file", "one");
  const std::string manifest = read_file(folder / kManifest, kLongestManifest);
  const std::string seal = read_file(folder / kComplete, kLongestSeal);
  if (seal != seal_of(manifest)) {
    throw damaged(folder / kManifest, "a CRC-32C that " + std::string(kComplete) + " does not name",
                  "either file as it was written");
  }
  const Json json = parse_json(manifest, (folder / kManifest).string());
  const JsonObject files = JsonObject(json, (folder / kManifest).string()).object("files");
  for (const std::string& name : needed) {
    if (!files.has(name)) throw damaged(folder / kManifest, "no entry", "\"" + name + "\"");
  }
  for (const auto& item : files.raw().items()) {
    require_plain_file_name(item.key(), files.where());
    const JsonObject file = files.object(item.key());
    verify_file(folder / item.key(), static_cast<uint64_t>(file.integer("bytes", 0, INT64_MAX)),
                file.string("crc32c"));
  }
}

void remove_checkpoint(const fs::path& folder) {
  fs::remove(folder / kComplete);
  fs::remove_all(folder);
}

}  // namespace moellava
