// A reader for the pickles inside torch.save files that can call nothing: a fixed list of opcodes builds
// dicts, lists, tuples, strings and numbers, and the few known globals stand for tensors and their storages.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/bytes.hpp"
#include "files/tensor_file.hpp"

namespace moellava {

enum class PickleKind : uint8_t {
  None,
  Bool,
  Int,
  Float,
  String,
  Tuple,
  List,
  Dict,
  Global,
  Storage,
  Tensor
};

// Containers, strings, storages and tensors live in the Pickle; the value holds their index. The value of a
// Float is not kept: no float matters in a state dict.
struct PickleValue {
  PickleKind kind = PickleKind::None;
  int64_t number = 0;  // the bool or integer, or the index
};

struct PickleEntry {
  std::string_view key;
  PickleValue value;
};

// A storage that the pickle refers to by its persistent id.
struct PickleStorage {
  std::string_view key;
  DType dtype = DType::F32;
  int64_t numel = 0;  // as the pickle says, may be negative
};

struct PickleTuple {
  size_t begin = 0;  // into Pickle::tuple_items
  size_t count = 0;
};

// A strided view of a storage. The types are checked, the numbers not.
struct PickleTensor {
  size_t storage = 0;
  int64_t offset = 0;         // values, not bytes
  PickleTuple shape, stride;  // of integers
};

// Deques, so that a million small objects do not cost a second million while a vector grows.
struct Pickle {
  PickleValue root;
  std::deque<PickleTuple> tuples;
  std::deque<PickleValue> tuple_items;
  std::deque<std::vector<PickleValue>> lists;
  std::deque<std::vector<PickleEntry>> dicts;
  std::deque<std::string_view> strings;  // views of the pickled bytes
  std::vector<PickleStorage> storages;   // each key once
  std::deque<PickleTensor> tensors;

  const PickleValue& item(const PickleTuple& tuple, size_t i) const { return tuple_items[tuple.begin + i]; }
};

// Reads one pickle and leaves `in` behind its STOP. Throws BadData "where offset N: ..." with the opcode and,
// if one is to blame, the global.
Pickle read_pickle(ByteReader& in, const std::string& where);

}  // namespace moellava
