#include "train/feature_cache.hpp"

#include <cstring>
#include <fstream>

#include "base/bulk_hash.hpp"
#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMagic = 0x31746566766c6c6dull;  // "mllvfet1": the layout's version is its last letter

struct Header {
  uint64_t magic = kMagic;
  uint64_t tower = 0;
  uint64_t picture = 0;
  uint64_t check = 0;  // hash of the values
};

uint64_t hash_of(std::span<const float> values) {
  return bulk_hash(std::as_bytes(values));
}

std::string hex(uint64_t key) {
  return string_printf("%016llx", static_cast<unsigned long long>(key));
}

}  // namespace

FeatureCache::FeatureCache(const fs::path& folder, uint64_t tower, size_t values)
    : folder_(folder / hex(tower)), tower_(tower), values_(values) {}

fs::path FeatureCache::path(uint64_t picture) const {
  const std::string name = hex(picture);
  return folder_ / name.substr(0, 2) / name;
}

uint64_t FeatureCache::entry_bytes() const {
  return sizeof(Header) + values_ * sizeof(float);
}

uint64_t FeatureCache::free_bytes() const {
  std::error_code failure;
  for (fs::path folder = folder_; folder.has_relative_path(); folder = folder.parent_path()) {
    const fs::space_info space = fs::space(folder, failure);
    if (!failure) return space.available;
  }
  return 0;
}

bool FeatureCache::has(uint64_t picture) const {
  std::error_code failure;
  const uint64_t bytes = fs::file_size(path(picture), failure);
  return !failure && bytes == entry_bytes();
}

FeatureCache::Found FeatureCache::read(uint64_t picture, std::span<float> values) const {
  std::ifstream file(path(picture), std::ios::binary);
  if (!file) return Found::Nothing;
  Header header;
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  const bool whole = file && file.peek() == std::ifstream::traits_type::eof() && header.magic == kMagic &&
                     header.tower == tower_ && header.picture == picture && header.check == hash_of(values);
  return whole ? Found::Whole : Found::Damaged;
}

void FeatureCache::write(uint64_t picture, std::span<const float> values) const {
  const Header header{.tower = tower_, .picture = picture, .check = hash_of(values)};
  publish_file(path(picture), [&](const fs::path& temporary) {
    std::ofstream file(temporary, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size_bytes()));
    file.close();
    if (!file) throw io_error(temporary.string(), "cannot write", errno);
  });
}

}  // namespace moellava
