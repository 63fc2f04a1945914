#include "files/torch_write.hpp"

#include <algorithm>
#include <vector>

#include "base/crc.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/bytes.hpp"
#include "files/pickle_names.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// --- The pickle, protocol 2 -----------------------------------------------------------------------

constexpr char kMark = '(';
constexpr char kTuple = 't';
constexpr char kReduce = 'R';  // call

std::string text(std::string_view value) {
  return "X" + raw_bytes(static_cast<uint32_t>(value.size())) + std::string(value);  // BINUNICODE
}

std::string integer(int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX)
    return "J" + raw_bytes(static_cast<int32_t>(value));  // BININT
  return "\x8a\x08" + raw_bytes(value);                   // LONG1
}

std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

std::string tuple(std::span<const int64_t> values) {
  std::string bytes(1, kMark);
  for (const int64_t value : values) bytes += integer(value);
  return bytes + kTuple;
}

// In values, of a contiguous tensor.
std::vector<int64_t> strides_of(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

// torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks)
std::string pickled_tensor(const TensorView& tensor, size_t key) {
  const auto numel = static_cast<int64_t>(tensor.numel());
  const std::string storage = kMark + text("storage") + global("torch", storage_class(tensor.dtype)) +
                              text(std::to_string(key)) + text("cpu") + integer(numel) + kTuple + "Q";
  return global("torch._utils", "_rebuild_tensor_v2") + kMark + storage + integer(0) + tuple(tensor.shape) +
         tuple(strides_of(tensor.shape)) + "\x89" + global("collections", "OrderedDict") + ")" + kReduce +
         kTuple + kReduce;
}

std::string pickled_dict(std::span<const TensorView> tensors) {
  std::string bytes = "\x80\x02}(";
  for (size_t i = 0; i < tensors.size(); ++i) bytes += text(tensors[i].name) + pickled_tensor(tensors[i], i);
  return bytes + "u.";
}

// --- The archive: stored entries, no compression --------------------------------------------------

constexpr size_t kAlignment = 64;
constexpr uint64_t kMostBytes = 0xffff0000;  // everything that is counted in 32 bits stays below
constexpr size_t kMostEntries = 0xfffe;
constexpr uint16_t kUtf8 = 1 << 11;
constexpr uint16_t kVersion = 20;
constexpr uint16_t kFillerField = 0x4246;  // "FB", as torch names it
constexpr size_t kLocalHeader = 30;

class Archive {
 public:
  Archive(const ByteSink& sink, const fs::path& path) : sink_(sink), path_(path) {}

  void add(const std::string& name, std::span<const std::byte> data) {
    if (at_ + data.size() > kMostBytes || count_ == kMostEntries)
      throw limit_error(path_.string(), "too large for a torch.save file", {.expected = "at most 4 GiB"});
    const std::string fields = raw_bytes(kVersion) + raw_bytes(kUtf8) + raw_bytes(uint16_t{0}) +  // stored
                               raw_bytes(uint32_t{0}) +                                           // no date
                               raw_bytes(crc32(data)) + raw_bytes(static_cast<uint32_t>(data.size())) +
                               raw_bytes(static_cast<uint32_t>(data.size())) +
                               raw_bytes(static_cast<uint16_t>(name.size()));
    const std::string filler = filler_before(at_ + kLocalHeader + name.size());
    directory_ += "PK\1\2" + raw_bytes(kVersion) + fields + std::string(12, '\0') +
                  raw_bytes(static_cast<uint32_t>(at_)) + name;
    put("PK\3\4" + fields + raw_bytes(static_cast<uint16_t>(filler.size())) + name + filler);
    sink_(data);
    at_ += data.size();
    ++count_;
  }

  void finish() {
    const uint64_t start = at_;
    put(directory_);
    put("PK\5\6" + raw_bytes(uint32_t{0}) + raw_bytes(count_) + raw_bytes(count_) +
        raw_bytes(static_cast<uint32_t>(directory_.size())) + raw_bytes(static_cast<uint32_t>(start)) +
        raw_bytes(uint16_t{0}));
  }

 private:
  // An extra field, so that the data behind it begins on a border.
  static std::string filler_before(uint64_t position) {
    constexpr size_t kFieldHeader = 4;
    const size_t padding = (kAlignment - (position + kFieldHeader) % kAlignment) % kAlignment;
    return raw_bytes(kFillerField) + raw_bytes(static_cast<uint16_t>(padding)) + std::string(padding, 'Z');
  }
  void put(const std::string& bytes) {
    sink_(std::as_bytes(std::span(bytes)));
    at_ += bytes.size();
  }

  const ByteSink& sink_;
  const fs::path& path_;
  std::string directory_;
  uint64_t at_ = 0;
  uint16_t count_ = 0;
};

}  // namespace

void write_torch_file(const fs::path& path, std::span<const TensorView> tensors) {
  const std::string pickle = pickled_dict(tensors);
  const auto bytes_of = [](const std::string& value) { return std::as_bytes(std::span(value)); };
  // The folder in the archive has the file's name, as torch.save gives it.
  const std::string top = path.stem().string() + "/";
  write_file_atomic(path, [&](const ByteSink& sink) {
    Archive archive(sink, path);
    archive.add(top + "data.pkl", bytes_of(pickle));
    archive.add(top + "byteorder", bytes_of("little"));
    for (size_t i = 0; i < tensors.size(); ++i)
      archive.add(top + "data/" + std::to_string(i), tensors[i].data);
    archive.add(top + "version", bytes_of("3\n"));
    archive.finish();
  });
}

}  // namespace moellava
