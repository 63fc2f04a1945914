#include "files/pickle.hpp"

#include <unordered_map>

#include "files/naming.hpp"
#include "files/pickle_names.hpp"

namespace moellava {

namespace {

// Real state dicts stay far below: pickle writes batches of 1000 items and nests a few levels.
constexpr size_t kMostValues = 4'000'000;  // pushed, and memoised
constexpr size_t kDeepestStack = 1'000'000;
constexpr size_t kMostMarks = 64;
constexpr size_t kMostDims = 8;
constexpr uint64_t kLongestString = 64 << 10;
constexpr uint64_t kLongestGlobal = 256;

// The stack machine. Marks stand beside the stack: what lies below the newest one cannot be reached.
class Machine {
 public:
  Machine(ByteReader& in, const std::string& where) : in_(in), where_(where) {}

  Pickle run() {
    offset_ = in_.position();
    if (in_.read<uint8_t>("opcode") != 0x80) throw fail("does not begin with PROTO");
    read_protocol();
    while (step()) {
    }
    return std::move(pickle_);
  }

 private:
  using Kind = PickleKind;

  bool step();
  bool push_plain();
  void push_dict();
  void push_text(uint64_t length);

  void read_protocol();
  int64_t read_long1();
  void read_global();
  void put_memo(size_t index);
  void get_memo(size_t index);
  void make_tuple(size_t count);
  void append(size_t count);
  void set_items(size_t count);
  void persistent_id();
  void reduce();
  void build();
  void rebuild_tensor(const PickleTuple& arguments);
  bool stop();

  void push(PickleValue value);
  void push(Kind kind, size_t index) { push({kind, static_cast<int64_t>(index)}); }
  PickleValue pop();
  PickleValue& top();
  size_t items_on_top() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  void require_items(size_t count) const;
  size_t pop_mark();

  std::string_view text_of(const PickleValue& value) const { return pickle_.strings[index_of(value)]; }
  static size_t index_of(const PickleValue& value) { return static_cast<size_t>(value.number); }
  bool integers_only(const PickleTuple& tuple) const;

  Error fail(const std::string& what, const Detail& detail = {}) const {
    return bad_data(where_ + " offset " + std::to_string(offset_), what, detail);
  }
  Error refuse_code(const std::string& what) const {
    return fail(what + " is not allowed: this file tries to run code");
  }

  ByteReader& in_;
  const std::string& where_;
  uint64_t offset_ = 0;  // of the current opcode
  uint8_t opcode_ = 0;
  size_t pushes_ = 0;
  Pickle pickle_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // stack sizes
  std::vector<PickleValue> memo_;
  std::unordered_map<std::string_view, size_t> storage_of_key_;
};

bool Machine::step() {
  offset_ = in_.position();
  opcode_ = in_.read<uint8_t>("opcode");
  if (push_plain()) return true;
  switch (opcode_) {
    case 0x85:
    case 0x86:
    case 0x87:
      return make_tuple(opcode_ - 0x84u), true;
    case 't':
      return make_tuple(pop_mark()), true;
    case 'a':
      return append(1), true;
    case 'e':
      return append(pop_mark()), true;
    case 's':
      return set_items(2), true;
    case 'u':
      return set_items(pop_mark()), true;
    case '(':
      if (marks_.size() == kMostMarks) throw fail("nested too deeply", {.expected = "at most 64 marks"});
      return marks_.push_back(stack_.size()), true;
    case 'q':
      return put_memo(in_.read<uint8_t>("BINPUT")), true;
    case 'r':
      return put_memo(in_.read<uint32_t>("LONG_BINPUT")), true;
    case 'h':
      return get_memo(in_.read<uint8_t>("BINGET")), true;
    case 'j':
      return get_memo(in_.read<uint32_t>("LONG_BINGET")), true;
    case 'c':
      return read_global(), true;
    case 'Q':
      return persistent_id(), true;
    case 'R':
      return reduce(), true;
    case 'b':
      return build(), true;
    case '.':
      return stop();
    default:
      break;
  }
  if (opcode_runs_code(opcode_)) throw refuse_code("opcode " + opcode_name(opcode_));
  throw fail("opcode " + opcode_name(opcode_) + " is not allowed");
}

// The opcodes that push a value and take none; false for all others.
bool Machine::push_plain() {
  switch (opcode_) {
    case 'N':
      return push({Kind::None}), true;
    case 0x88:  // NEWTRUE
      return push({Kind::Bool, 1}), true;
    case 0x89:  // NEWFALSE
      return push({Kind::Bool, 0}), true;
    case 'K':
      return push({Kind::Int, in_.read<uint8_t>("BININT1")}), true;
    case 'M':
      return push({Kind::Int, in_.read<uint16_t>("BININT2")}), true;
    case 'J':
      return push({Kind::Int, in_.read<int32_t>("BININT")}), true;
    case 0x8a:
      return push({Kind::Int, read_long1()}), true;
    case 'G':
      in_.take(8, "BINFLOAT");
      return push({Kind::Float}), true;
    case 'X':
      return push_text(in_.read<uint32_t>("BINUNICODE")), true;
    case 'U':
      return push_text(in_.read<uint8_t>("SHORT_BINSTRING")), true;
    case ')':
      return make_tuple(0), true;
    case ']':
      pickle_.lists.emplace_back();
      return push(Kind::List, pickle_.lists.size() - 1), true;
    case '}':
      return push_dict(), true;
    default:
      return false;
  }
}

void Machine::push_dict() {
  pickle_.dicts.emplace_back();
  push(Kind::Dict, pickle_.dicts.size() - 1);
}

void Machine::read_protocol() {
  const auto protocol = in_.read<uint8_t>("PROTO");
  if (protocol != 2) {
    throw fail("unsupported pickle protocol",
               {.found = std::to_string(protocol), .expected = "2, as torch.save writes it"});
  }
}

// A two's complement integer of up to 8 bytes.
int64_t Machine::read_long1() {
  const auto length = in_.read<uint8_t>("LONG1");
  if (length > 8) throw fail("integer is too large", {.found = std::to_string(length) + " bytes"});
  const auto bytes = in_.take(length, "LONG1");
  uint64_t value = 0;
  for (size_t i = 0; i < length; ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  const bool negative = length > 0 && (std::to_integer<int>(bytes[length - 1u]) & 0x80) != 0;
  if (negative && length < 8) value |= ~uint64_t{0} << (8 * length);
  return static_cast<int64_t>(value);
}

void Machine::push_text(uint64_t length) {
  if (length > kLongestString) {
    throw fail("string is too long", {.found = std::to_string(length) + " bytes",
                                      .expected = "at most " + std::to_string(kLongestString)});
  }
  pickle_.strings.push_back(in_.text(length, opcode_name(opcode_)));
  push(Kind::String, pickle_.strings.size() - 1);
}

void Machine::read_global() {
  const auto line = [&] {
    const std::string_view ahead = as_text(in_.rest()).substr(0, kLongestGlobal);
    const size_t end = ahead.find('\n');
    if (end == std::string_view::npos) throw fail("GLOBAL has no end of line");
    const std::string_view text = in_.text(end, "GLOBAL");
    in_.take(1, "GLOBAL");
    return text;
  };
  const std::string_view module = line();
  const std::string_view name = line();
  if (const auto allowed = allowed_global(module, name)) return push({Kind::Global, *allowed});
  const std::string full = printable(std::string(module) + "." + std::string(name));
  if (is_unsupported_tensor(module, name)) throw fail(full + " is not supported (dense tensors only)");
  throw refuse_code("GLOBAL " + full);
}

void Machine::put_memo(size_t index) {
  // Picklers number what they memoise in order; holding them to it bounds the memo by the file's size.
  if (index > memo_.size() || index == kMostValues) {
    throw fail("memo index out of order",
               {.found = std::to_string(index), .expected = "at most " + std::to_string(memo_.size())});
  }
  if (index == memo_.size()) memo_.emplace_back();
  memo_[index] = top();
}

void Machine::get_memo(size_t index) {
  if (index >= memo_.size()) throw fail("memo entry was never set", {.found = std::to_string(index)});
  push(memo_[index]);
}

void Machine::make_tuple(size_t count) {
  require_items(count);
  const PickleTuple tuple{.begin = pickle_.tuple_items.size(), .count = count};
  pickle_.tuple_items.insert(pickle_.tuple_items.end(), stack_.end() - static_cast<ptrdiff_t>(count),
                             stack_.end());
  stack_.resize(stack_.size() - count);
  pickle_.tuples.push_back(tuple);
  push(Kind::Tuple, pickle_.tuples.size() - 1);
}

void Machine::append(size_t count) {
  require_items(count + 1);
  const PickleValue& list = stack_[stack_.size() - count - 1];
  if (list.kind != Kind::List) throw fail(opcode_name(opcode_) + " on what is no list");
  auto& items = pickle_.lists[index_of(list)];
  items.insert(items.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
}

void Machine::set_items(size_t count) {
  require_items(count + 1);
  if (count % 2 != 0) throw fail(opcode_name(opcode_) + " has a key without a value");
  const PickleValue& dict = stack_[stack_.size() - count - 1];
  if (dict.kind != Kind::Dict) throw fail(opcode_name(opcode_) + " on what is no dict");
  auto& entries = pickle_.dicts[index_of(dict)];
  for (size_t i = stack_.size() - count; i < stack_.size(); i += 2) {
    if (stack_[i].kind != Kind::String) throw fail("dict key is not a string");
    entries.push_back({text_of(stack_[i]), stack_[i + 1]});
  }
  stack_.resize(stack_.size() - count);
}

// ("storage", storage class, key, device, numel[, view]): the device does not matter.
void Machine::persistent_id() {
  const PickleValue id = pop();
  if (id.kind != Kind::Tuple) throw fail("persistent id is not a tuple");
  const PickleTuple& tuple = pickle_.tuples[index_of(id)];
  const auto item = [&](size_t i) { return pickle_.item(tuple, i); };
  const bool well_formed =
      (tuple.count == 5 || (tuple.count == 6 && item(5).kind == Kind::None)) &&
      item(0).kind == Kind::String && text_of(item(0)) == "storage" && item(1).kind == Kind::Global &&
      item(1).number >= static_cast<int64_t>(PickleGlobal::Storage) && item(2).kind == Kind::String &&
      item(3).kind == Kind::String && item(4).kind == Kind::Int;
  if (!well_formed) throw fail("persistent id is not a storage", {.hint = "views of storages are not read"});
  const PickleStorage storage{
      .key = text_of(item(2)),
      .dtype = static_cast<DType>(item(1).number - static_cast<int64_t>(PickleGlobal::Storage)),
      .numel = item(4).number};
  const auto [it, added] = storage_of_key_.emplace(storage.key, pickle_.storages.size());
  if (added) pickle_.storages.push_back(storage);
  const PickleStorage& known = pickle_.storages[it->second];
  if (known.dtype != storage.dtype || known.numel != storage.numel)
    throw fail("storage " + in_quotes(storage.key) + " has two types or sizes");
  push(Kind::Storage, it->second);
}

void Machine::reduce() {
  const PickleValue arguments = pop();
  const PickleValue callable = pop();
  if (callable.kind != Kind::Global || callable.number >= static_cast<int64_t>(PickleGlobal::Storage))
    throw refuse_code("REDUCE of what is no known global");
  if (arguments.kind != Kind::Tuple) throw fail("REDUCE without a tuple of arguments");
  const PickleTuple tuple = pickle_.tuples[index_of(arguments)];
  const auto first_is = [&](Kind kind) { return tuple.count >= 1 && pickle_.item(tuple, 0).kind == kind; };
  switch (static_cast<PickleGlobal>(callable.number)) {
    case PickleGlobal::OrderedDict:
      if (tuple.count != 0) throw fail("OrderedDict with arguments is not supported");
      return push_dict();
    case PickleGlobal::Size:
      if (tuple.count != 1 || !first_is(Kind::Tuple)) throw fail("torch.Size of what is no tuple");
      return push(pickle_.item(tuple, 0));
    case PickleGlobal::RebuildParameter:
      if (tuple.count != 3 || !first_is(Kind::Tensor)) throw fail("_rebuild_parameter of what is no tensor");
      return push(pickle_.item(tuple, 0));
    case PickleGlobal::RebuildTensor:
      return rebuild_tensor(tuple);
    case PickleGlobal::Storage:
      break;
  }
  throw refuse_code("REDUCE of a storage class");
}

// (storage, offset, shape, stride, requires_grad, hooks[, metadata])
void Machine::rebuild_tensor(const PickleTuple& arguments) {
  const auto item = [&](size_t i) { return pickle_.item(arguments, i); };
  const auto integers = [&](size_t i) { return integers_only(pickle_.tuples[index_of(item(i))]); };
  const bool well_formed = (arguments.count == 6 || arguments.count == 7) && item(0).kind == Kind::Storage &&
                           item(1).kind == Kind::Int && item(2).kind == Kind::Tuple &&
                           item(3).kind == Kind::Tuple && integers(2) && integers(3);
  if (!well_formed) throw fail("_rebuild_tensor_v2 with arguments of the wrong types");
  pickle_.tensors.push_back({.storage = index_of(item(0)),
                             .offset = item(1).number,
                             .shape = pickle_.tuples[index_of(item(2))],
                             .stride = pickle_.tuples[index_of(item(3))]});
  push(Kind::Tensor, pickle_.tensors.size() - 1);
}

bool Machine::integers_only(const PickleTuple& tuple) const {
  if (tuple.count > kMostDims) throw fail("too many dimensions", {.expected = "at most 8"});
  for (size_t i = 0; i < tuple.count; ++i) {
    if (pickle_.item(tuple, i).kind != Kind::Int) return false;
  }
  return true;
}

// A module's state dict carries its `_metadata` as an attribute of the OrderedDict: nothing we need.
void Machine::build() {
  const PickleValue state = pop();
  if (top().kind != Kind::Dict || state.kind != Kind::Dict)
    throw refuse_code("BUILD of anything but an OrderedDict");
}

bool Machine::stop() {
  pickle_.root = pop();
  if (!stack_.empty() || !marks_.empty()) throw fail("STOP with values left on the stack");
  return false;
}

void Machine::push(PickleValue value) {
  if (++pushes_ > kMostValues)
    throw fail("too many values", {.expected = "at most " + std::to_string(kMostValues)});
  if (stack_.size() == kDeepestStack)
    throw fail("stack is too deep", {.expected = "at most " + std::to_string(kDeepestStack) + " values"});
  stack_.push_back(value);
}

void Machine::require_items(size_t count) const {
  if (items_on_top() < count) throw fail(opcode_name(opcode_) + ": stack underflow");
}

PickleValue& Machine::top() {
  require_items(1);
  return stack_.back();
}

PickleValue Machine::pop() {
  const PickleValue value = top();
  stack_.pop_back();
  return value;
}

// Forgets the newest mark; says how many values stand above it.
size_t Machine::pop_mark() {
  if (marks_.empty()) throw fail(opcode_name(opcode_) + " without a MARK");
  const size_t count = items_on_top();
  marks_.pop_back();
  return count;
}

}  // namespace

Pickle read_pickle(ByteReader& in, const std::string& where) {
  return Machine(in, where).run();
}

}  // namespace moellava
