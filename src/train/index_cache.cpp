#include "train/index_cache.hpp"

#include <algorithm>
#include <type_traits>

#include "base/bulk_hash.hpp"
#include "base/cache_folder.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMagic = 0x31786469766c6c6dull;  // "mllvidx1": the layout's version is its last letter
constexpr uint64_t kLargestIndex = 16ull << 30;

static_assert(sizeof(SampleEntry) == 40 && std::has_unique_object_representations_v<SampleEntry>,
              "entries are written as they lie in memory");

struct Header {
  uint64_t magic = kMagic;
  uint64_t key = 0;
  uint64_t check = 0;  // hash of what follows
  uint64_t samples = 0;
  uint64_t shown = 0;
  uint64_t names = 0;
  uint64_t name_bytes = 0;
  uint64_t truncated = 0;
  uint64_t duplicate_ids = 0;
};

class Hash {
 public:
  void text(std::string_view bytes) { number(bulk_hash(std::as_bytes(std::span(bytes)))); }
  void number(uint64_t value) { value_ = bulk_hash(std::as_bytes(std::span(&value, 1)), value_); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

// Tells tokenizers apart by all their words and by how they cut a text made of many of them.
uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer) {
  constexpr size_t kProbe = 256 << 10;  // bytes
  Hash hash;
  std::string probe;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string bytes = tokenizer.token_bytes(id);
    hash.text(bytes);
    hash.number(tokenizer.is_special(id));
    if (probe.size() < kProbe && !tokenizer.is_special(id)) probe += bytes;
  }
  const std::vector<int32_t> cut = tokenizer.encode_text(probe);
  hash.text({reinterpret_cast<const char*>(cut.data()), cut.size() * sizeof(int32_t)});
  hash.number(tokenizer.adds_bos);
  hash.number(static_cast<uint64_t>(tokenizer.bos_id.value_or(-1)));
  return hash.value();
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// Takes `count` values from the front of `bytes`; false when there are not that many.
template <typename Container>
bool take(std::string_view& bytes, uint64_t count, Container& values) {
  constexpr size_t kSize = sizeof(typename Container::value_type);
  if (count > bytes.size() / kSize) return false;
  values.resize(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * kSize);
  bytes.remove_prefix(count * kSize);
  return true;
}

// Whatever the bytes were, nothing outside the files or the lists is referred to.
bool is_sound(const DataIndex& index, std::span<const DataFile> files) {
  const NameList& names = index.pictures;
  const bool samples =
      std::all_of(index.samples.begin(), index.samples.end(), [&](const SampleEntry& sample) {
        return sample.file < files.size() && sample.offset <= files[sample.file].text().size() &&
               sample.bytes <= files[sample.file].text().size() - sample.offset &&
               uint64_t{sample.first_picture} + sample.pictures <= index.shown.size();
      });
  const bool shown = std::all_of(index.shown.begin(), index.shown.end(),
                                 [&](uint32_t picture) { return picture < names.size(); });
  return samples && shown && std::is_sorted(names.ends.begin(), names.ends.end()) &&
         (names.ends.empty() ? 0 : names.ends.back()) == names.text.size();
}

}  // namespace

uint64_t index_key(std::span<const DataFile> files, uint64_t content, const TokeniserOptions& options) {
  Hash hash;
  hash.number(kMagic);
  hash.number(content);
  hash.number(files.size());
  hash.number(tokenizer_fingerprint(*options.tokenizer));
  hash.text(options.style->name);
  hash.number(static_cast<uint64_t>(options.max_length));
  hash.number(static_cast<uint64_t>(options.vocab_size));
  return hash.value();
}

fs::path IndexCache::path(uint64_t key) const {
  return folder_ / string_printf("%016llx.index", static_cast<unsigned long long>(key));
}

std::optional<DataIndex> IndexCache::read(uint64_t key, std::span<const DataFile> files) const {
  std::error_code failure;
  if (!fs::is_regular_file(path(key), failure)) return std::nullopt;
  const std::string content = read_file(path(key), kLargestIndex);
  Header header;
  std::string_view rest = content;
  if (rest.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, rest.data(), sizeof header);
  rest.remove_prefix(sizeof header);
  if (header.magic != kMagic || header.key != key ||
      header.check != bulk_hash(std::as_bytes(std::span(rest))))
    return std::nullopt;
  DataIndex index;
  const bool whole = take(rest, header.samples, index.samples) && take(rest, header.shown, index.shown) &&
                     take(rest, header.names, index.pictures.ends) &&
                     take(rest, header.name_bytes, index.pictures.text) && rest.empty();
  if (!whole || !is_sound(index, files)) return std::nullopt;
  index.truncated = header.truncated;
  index.duplicate_ids = header.duplicate_ids;
  return index;
}

void IndexCache::write(uint64_t key, const DataIndex& index) const {
  std::string content(sizeof(Header), '\0');
  auto append = [&](std::span<const std::byte> bytes) {
    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  append(bytes_of(index.samples));
  append(bytes_of(index.shown));
  append(bytes_of(index.pictures.ends));
  content += index.pictures.text;
  const std::string_view behind = std::string_view(content).substr(sizeof(Header));
  const Header header{.key = key,
                      .check = bulk_hash(std::as_bytes(std::span(behind))),
                      .samples = index.samples.size(),
                      .shown = index.shown.size(),
                      .names = index.pictures.size(),
                      .name_bytes = index.pictures.text.size(),
                      .truncated = index.truncated,
                      .duplicate_ids = index.duplicate_ids};
  std::memcpy(content.data(), &header, sizeof header);
  publish_file(path(key), [&](const fs::path& temporary) { write_file_atomic(temporary, content); });
}

}  // namespace moellava
