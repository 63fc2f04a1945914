// From the pickled state dict to tensors: the zip format, the legacy one, and what both share.
#include "files/torch_file.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/bytes.hpp"
#include "files/file_kind.hpp"
#include "files/naming.hpp"
#include "files/pickle.hpp"
#include "files/zip_reader.hpp"

namespace moellava {

namespace {

constexpr int kDeepestDict = 64;
constexpr size_t kLongestName = 1024;
constexpr size_t kMostTensors = 1'000'000;
constexpr int kNewestVersion = 10;  // of the zip format
constexpr const char* kExpected = "a torch.save file";

using Bytes = std::span<const std::byte>;
// The bytes of a storage; throws when there are none. `tensor` names who wants it.
using FindStorage = std::function<Bytes(size_t storage, const std::string& tensor)>;

// Copies of tensors that are not contiguous in the file.
using Copies = std::deque<std::vector<std::byte>>;

uint64_t as_unsigned(int64_t value) {
  return static_cast<uint64_t>(value);  // checked to be non-negative
}

// Values from the first to behind the last that the tensor reaches; nothing on overflow. shape has no zero.
std::optional<uint64_t> reach(std::span<const int64_t> shape, std::span<const int64_t> stride) {
  uint64_t last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto step = checked_mul(as_unsigned(shape[i] - 1), as_unsigned(stride[i]));
    const auto sum = step ? checked_add(last, *step) : std::nullopt;
    if (!sum) return std::nullopt;
    last = *sum;
  }
  return checked_add(last, 1);
}

bool is_contiguous(std::span<const int64_t> shape, std::span<const int64_t> stride) {
  uint64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && as_unsigned(stride[i]) != expected) return false;
    expected *= as_unsigned(shape[i]);
  }
  return true;
}

// Whether two indices meet in one value: sorted by stride, each step must leave the span of the smaller ones.
bool overlaps_itself(std::span<const int64_t> shape, std::span<const int64_t> stride) {
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] > 1) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return stride[a] < stride[b]; });
  uint64_t span = 0;
  for (const size_t i : order) {
    if (as_unsigned(stride[i]) <= span) return true;
    span += as_unsigned(shape[i] - 1) * as_unsigned(stride[i]);  // within the storage, see reach()
  }
  return false;
}

// Writes the strided tensor row by row; `at` is its first value.
void copy_strided(const std::byte* at, size_t dim, std::span<const int64_t> shape,
                  std::span<const int64_t> stride, size_t value_bytes, std::byte*& out) {
  if (dim == shape.size()) {
    std::memcpy(out, at, value_bytes);
    out += value_bytes;
    return;
  }
  for (int64_t i = 0; i < shape[dim]; ++i, at += as_unsigned(stride[dim]) * value_bytes)
    copy_strided(at, dim + 1, shape, stride, value_bytes, out);
}

// Walks the state dict and turns its tensors into views.
class StateDict {
 public:
  StateDict(const Pickle& pickle, FindStorage find_storage, uint64_t pickle_bytes, uint64_t file_bytes,
            const std::string& where)
      : pickle_(pickle),
        find_storage_(std::move(find_storage)),
        where_(where),
        names_left_(8 * pickle_bytes),
        copies_left_(file_bytes),
        seen_(pickle.dicts.size()) {}

  TensorFile read() {
    if (pickle_.root.kind != PickleKind::Dict) throw bad_data(where_, "holds no state dict");
    add_dict(static_cast<size_t>(pickle_.root.number), "", 1);
    file_.path = where_;
    file_.storage = copies_;
    return std::move(file_);
  }

 private:
  void add_dict(size_t index, const std::string& prefix, int depth) {
    if (depth > kDeepestDict)
      throw bad_data(where_, "dicts nested too deeply", {.expected = "at most 64 levels"});
    // A dict inside itself would never end, and one inside many others could unfold without bound.
    if (seen_[index]) throw bad_data(where_, "dict " + in_quotes(prefix) + " stands in two places");
    seen_[index] = true;
    for (const PickleEntry& entry : pickle_.dicts[index]) {
      const bool named = entry.value.kind == PickleKind::Dict || entry.value.kind == PickleKind::Tensor;
      if (named && prefix.size() + entry.key.size() > kLongestName)
        throw bad_data(where_, "name is too long", {.found = in_quotes(prefix + std::string(entry.key))});
      const auto number = static_cast<size_t>(entry.value.number);
      if (entry.value.kind == PickleKind::Dict)
        add_dict(number, prefix + std::string(entry.key) + ".", depth + 1);
      if (entry.value.kind == PickleKind::Tensor)
        add_tensor(pickle_.tensors[number], prefix + std::string(entry.key));
    }
  }

  void add_tensor(const PickleTensor& tensor, std::string name) {
    if (file_.tensors.size() == kMostTensors || name.size() > names_left_) {
      throw bad_data(where_, "too many tensors or too long names",
                     {.expected = "at most " + std::to_string(kMostTensors)});
    }
    names_left_ -= name.size();
    if (!names_.insert(name).second) throw bad_data(tensor_at(where_, name), "named twice");
    TensorView view{.name = std::move(name),
                    .dtype = pickle_.storages[tensor.storage].dtype,
                    .shape = numbers(tensor.shape),
                    .data = {}};
    view.data = data_of(tensor, view, numbers(tensor.stride));
    file_.tensors.push_back(std::move(view));
  }

  Bytes data_of(const PickleTensor& tensor, const TensorView& view, const std::vector<int64_t>& stride) {
    const std::string where = tensor_at(where_, view.name);
    const std::vector<int64_t>& shape = view.shape;
    if (stride.size() != shape.size()) throw bad_data(where, "shape and stride differ in length");
    const auto negative = [](int64_t value) { return value < 0; };
    if (tensor.offset < 0 || std::any_of(shape.begin(), shape.end(), negative) ||
        std::any_of(stride.begin(), stride.end(), negative)) {
      throw bad_data(where, "negative offset, size or stride");
    }
    const Bytes storage = find_storage_(tensor.storage, where);
    const uint64_t value_bytes = *dtype_bytes(view.dtype, 1);
    const uint64_t values = storage.size() / value_bytes;
    const auto numel = checked_numel(shape);
    if (!numel) throw bad_data(where, "shape is too large", {.expected = "less than 2^63 values"});
    if (*numel == 0) return {};
    const auto reached = reach(shape, stride);
    const auto end = reached ? checked_add(*reached, as_unsigned(tensor.offset)) : std::nullopt;
    if (!end || *end > values) {
      throw bad_data(where, "runs past the end of its storage",
                     {.found = end ? std::to_string(*end) + " values" : "more than 2^64 values",
                      .expected = "at most " + std::to_string(values)});
    }
    const Bytes from = storage.subspan(as_unsigned(tensor.offset) * value_bytes);
    if (is_contiguous(shape, stride)) return from.first(*numel * value_bytes);
    if (overlaps_itself(shape, stride)) throw bad_data(where, "expanded or overlapping strides");
    return copy(from.data(), shape, stride, *numel * value_bytes, value_bytes, where);
  }

  Bytes copy(const std::byte* from, std::span<const int64_t> shape, std::span<const int64_t> stride,
             uint64_t bytes, uint64_t value_bytes, const std::string& where) {
    if (bytes > copies_left_) throw bad_data(where, "tensors share one storage too often");
    copies_left_ -= bytes;
    std::byte* out = copies_->emplace_back(bytes).data();
    copy_strided(from, 0, shape, stride, value_bytes, out);
    return copies_->back();
  }

  std::vector<int64_t> numbers(const PickleTuple& tuple) const {
    std::vector<int64_t> values(tuple.count);
    for (size_t i = 0; i < tuple.count; ++i) values[i] = pickle_.item(tuple, i).number;
    return values;
  }

  const Pickle& pickle_;
  FindStorage find_storage_;
  const std::string& where_;
  uint64_t names_left_;   // bytes; shared key strings could make names far longer than the file
  uint64_t copies_left_;  // bytes
  std::vector<bool> seen_;
  std::set<std::string> names_;
  TensorFile file_;
  std::shared_ptr<Copies> copies_ = std::make_shared<Copies>();
};

void require_storage_size(const PickleStorage& storage, uint64_t bytes, const std::string& where) {
  const auto expected =
      storage.numel < 0 ? std::nullopt : dtype_bytes(storage.dtype, static_cast<uint64_t>(storage.numel));
  if (expected != bytes) {
    throw bad_data(where, "storage " + in_quotes(storage.key) + " has another size",
                   {.found = std::to_string(bytes) + " bytes",
                    .expected = std::to_string(storage.numel) + " values of " + dtype_name(storage.dtype)});
  }
}

// ---- zip format: <top>/data.pkl, <top>/data/<storage key>, <top>/version

// The one folder that all entries lie in, with its '/'.
std::string top_folder(const ZipReader& zip, const std::string& where) {
  std::string_view top;
  for (const ZipEntry& entry : zip.entries()) {
    const std::string_view folder = entry.name.substr(0, entry.name.find('/') + 1);
    if (folder.empty() || (!top.empty() && folder != top)) {
      throw bad_data(where, "zip archive is no torch.save file",
                     {.found = "entry " + in_quotes(entry.name), .expected = "all entries in one folder"});
    }
    top = folder;
  }
  return std::string(top);
}

void check_format(const ZipReader& zip, const std::string& top, const std::string& where) {
  for (const ZipEntry& entry : zip.entries()) {
    const std::string_view rest = entry.name.substr(top.size());
    if (rest == "constants.pkl" || rest.starts_with("code/")) {
      throw bad_data(where, "TorchScript archive, not a state dict",
                     {.hint = "save the module's state_dict() with torch.save"});
    }
  }
  if (zip.find(top + "data.pkl") == nullptr)
    throw bad_data(where, "zip archive is no torch.save file", {.found = "no data.pkl"});
  const ZipEntry* version = zip.find(top + "version");
  if (version == nullptr) throw bad_data(where, "version entry is missing");
  const std::string_view text = as_text(zip.read(*version));
  const std::string_view digits = text.substr(0, text.find('\n'));
  const bool number = !digits.empty() && digits.size() <= 2 &&
                      digits.find_first_not_of("0123456789") == std::string_view::npos;
  if (!number || std::stoi(std::string(digits)) > kNewestVersion) {
    throw bad_data(where, "unsupported format version",
                   {.found = in_quotes(digits), .expected = "at most " + std::to_string(kNewestVersion)});
  }
  const ZipEntry* order = zip.find(top + "byteorder");
  if (order != nullptr && as_text(zip.read(*order)) != "little") {
    throw bad_data(where, "unsupported byte order",
                   {.found = in_quotes(as_text(order->data)), .expected = "\"little\""});
  }
}

TensorFile parse_zip(Bytes bytes, const std::string& where) {
  const ZipReader zip(bytes, where);
  const std::string top = top_folder(zip, where);
  check_format(zip, top, where);
  const Bytes pickled = zip.read(*zip.find(top + "data.pkl"));
  ByteReader in(pickled, where + ": data.pkl");
  const Pickle pickle = read_pickle(in, where + ": data.pkl");
  if (in.remaining() != 0) {
    throw bad_data(where + ": data.pkl", "bytes behind STOP",
                   {.found = std::to_string(in.remaining()), .at = "byte " + std::to_string(in.position())});
  }
  std::vector<std::optional<Bytes>> found(pickle.storages.size());  // so that each CRC is computed once
  const FindStorage find_storage = [&](size_t index, const std::string& tensor) {
    if (found[index]) return *found[index];
    const PickleStorage& storage = pickle.storages[index];
    const ZipEntry* entry = zip.find(top + "data/" + std::string(storage.key));
    if (entry == nullptr) throw bad_data(tensor, "storage " + in_quotes(storage.key) + " is missing");
    require_storage_size(storage, entry->data.size(), tensor);
    found[index] = zip.read(*entry);
    return *found[index];
  };
  return StateDict(pickle, find_storage, pickled.size(), bytes.size(), where).read();
}

// ---- legacy format: pickles of magic number, protocol, system, state dict and storage keys; then, a key, a
// ---- 64-bit count of values and the values

constexpr uint64_t kMagicBytes = 15;  // its 80-bit integer is too large for our pickle reader
constexpr int64_t kLegacyProtocol = 1001;

// Reads the storages that follow the list of their keys.
std::vector<std::optional<Bytes>> read_storages(const Pickle& pickle, const Pickle& keys, ByteReader& in,
                                                const std::string& where) {
  if (keys.root.kind != PickleKind::List) throw bad_data(where, "storage keys are not a list");
  std::unordered_map<std::string_view, size_t> index_of;
  for (size_t i = 0; i < pickle.storages.size(); ++i) index_of.emplace(pickle.storages[i].key, i);
  std::vector<std::optional<Bytes>> found(pickle.storages.size());
  for (const PickleValue& key : keys.lists[static_cast<size_t>(keys.root.number)]) {
    if (key.kind != PickleKind::String) throw bad_data(where, "storage key is not a string");
    const std::string_view text = keys.strings[static_cast<size_t>(key.number)];
    const auto known = index_of.find(text);
    if (known == index_of.end() || found[known->second])
      throw bad_data(where, "storage " + in_quotes(text) + " is listed twice or belongs to no tensor");
    const PickleStorage& storage = pickle.storages[known->second];
    const std::string what = "storage " + in_quotes(text);
    const auto numel = in.read<uint64_t>(what);
    const auto size = dtype_bytes(storage.dtype, numel);
    if (!size) throw bad_data(where, what + " is too large", {.found = std::to_string(numel) + " values"});
    require_storage_size(storage, *size, where);
    found[known->second] = in.take(*size, what);
  }
  if (in.remaining() != 0) {
    throw bad_data(where, "bytes behind the last storage",
                   {.found = std::to_string(in.remaining()), .at = "byte " + std::to_string(in.position())});
  }
  return found;
}

TensorFile parse_legacy(Bytes bytes, const std::string& where) {
  const std::string source = where + ": pickle";
  ByteReader in(bytes, where);
  in.take(kMagicBytes, "magic number");
  const Pickle protocol = read_pickle(in, source);
  if (protocol.root.kind != PickleKind::Int || protocol.root.number != kLegacyProtocol)
    throw bad_data(where, "unsupported legacy protocol", {.expected = std::to_string(kLegacyProtocol)});
  read_pickle(in, source);  // the writer's system; values are little-endian wherever torch runs
  const uint64_t before = in.position();
  const Pickle pickle = read_pickle(in, source);
  const uint64_t pickle_bytes = in.position() - before;
  const Pickle keys = read_pickle(in, source);
  const auto found = read_storages(pickle, keys, in, where);
  const FindStorage find_storage = [&](size_t index, const std::string& tensor) {
    if (!found[index])
      throw bad_data(tensor, "storage " + in_quotes(pickle.storages[index].key) + " is missing");
    return *found[index];
  };
  return StateDict(pickle, find_storage, pickle_bytes, bytes.size(), where).read();
}

}  // namespace

TensorFile parse_torch_file(std::span<const std::byte> bytes, const std::string& where) {
  switch (file_kind(bytes)) {
    case FileKind::TorchZip:
      return parse_zip(bytes, where);
    case FileKind::TorchLegacy:
      return parse_legacy(bytes, where);
    default:
      throw wrong_kind(where, bytes, kExpected);
  }
}

TensorFile open_torch_file(const std::filesystem::path& path) {
  struct Storage {
    explicit Storage(const std::filesystem::path& from) : file(from) {}
    MappedFile file;
    std::shared_ptr<const void> copies;
  };
  const auto storage = std::make_shared<Storage>(path);
  TensorFile file = parse_torch_file(storage->file.bytes(), path.string());
  storage->copies = std::move(file.storage);
  file.storage = storage;
  return file;
}

}  // namespace moellava
