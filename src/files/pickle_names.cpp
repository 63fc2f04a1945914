#include "files/pickle_names.hpp"

#include "base/error.hpp"

namespace moellava {

namespace {

struct OpcodeRow {
  char code;
  const char* name;
  bool runs_code = false;
};
constexpr OpcodeRow kOpcodes[] = {
    {'(', "MARK"},
    {'.', "STOP"},
    {'0', "POP"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {'F', "FLOAT"},
    {'I', "INT"},
    {'J', "BININT"},
    {'K', "BININT1"},
    {'L', "LONG"},
    {'M', "BININT2"},
    {'N', "NONE"},
    {'P', "PERSID", true},
    {'Q', "BINPERSID", true},
    {'R', "REDUCE", true},
    {'S', "STRING"},
    {'T', "BINSTRING"},
    {'U', "SHORT_BINSTRING"},
    {'V', "UNICODE"},
    {'X', "BINUNICODE"},
    {'a', "APPEND"},
    {'b', "BUILD", true},
    {'c', "GLOBAL", true},
    {'d', "DICT"},
    {'}', "EMPTY_DICT"},
    {'e', "APPENDS"},
    {'g', "GET"},
    {'h', "BINGET"},
    {'i', "INST", true},
    {'j', "LONG_BINGET"},
    {'l', "LIST"},
    {']', "EMPTY_LIST"},
    {'o', "OBJ", true},
    {'p', "PUT"},
    {'q', "BINPUT"},
    {'r', "LONG_BINPUT"},
    {'s', "SETITEM"},
    {'t', "TUPLE"},
    {')', "EMPTY_TUPLE"},
    {'u', "SETITEMS"},
    {'G', "BINFLOAT"},
    {'\x80', "PROTO"},
    {'\x81', "NEWOBJ", true},
    {'\x82', "EXT1", true},
    {'\x83', "EXT2", true},
    {'\x84', "EXT4", true},
    {'\x85', "TUPLE1"},
    {'\x86', "TUPLE2"},
    {'\x87', "TUPLE3"},
    {'\x88', "NEWTRUE"},
    {'\x89', "NEWFALSE"},
    {'\x8a', "LONG1"},
    {'\x8b', "LONG4"},
    {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"},
    {'\x8c', "SHORT_BINUNICODE"},
    {'\x8d', "BINUNICODE8"},
    {'\x8e', "BINBYTES8"},
    {'\x8f', "EMPTY_SET"},
    {'\x90', "ADDITEMS"},
    {'\x91', "FROZENSET"},
    {'\x92', "NEWOBJ_EX", true},
    {'\x93', "STACK_GLOBAL", true},
    {'\x94', "MEMOIZE"},
    {'\x95', "FRAME"},
    {'\x96', "BYTEARRAY8"},
    {'\x97', "NEXT_BUFFER"},
    {'\x98', "READONLY_BUFFER"},
};

const OpcodeRow* find_opcode(uint8_t opcode) {
  for (const OpcodeRow& row : kOpcodes) {
    if (static_cast<uint8_t>(row.code) == opcode) return &row;
  }
  return nullptr;
}

struct StorageRow {
  std::string_view name;
  DType dtype;
};
constexpr StorageRow kStorages[] = {
    {"FloatStorage", DType::F32},  {"HalfStorage", DType::F16}, {"BFloat16Storage", DType::BF16},
    {"DoubleStorage", DType::F64}, {"LongStorage", DType::I64}, {"IntStorage", DType::I32},
    {"ShortStorage", DType::I16},  {"CharStorage", DType::I8},  {"ByteStorage", DType::U8},
    {"BoolStorage", DType::Bool},
};

}  // namespace

std::string opcode_name(uint8_t opcode) {
  if (const OpcodeRow* row = find_opcode(opcode)) return row->name;
  constexpr char kHex[] = "0123456789abcdef";
  return {'0', 'x', kHex[opcode >> 4], kHex[opcode & 15]};
}

bool opcode_runs_code(uint8_t opcode) {
  const OpcodeRow* row = find_opcode(opcode);
  return row != nullptr && row->runs_code;
}

std::optional<int64_t> allowed_global(std::string_view module, std::string_view name) {
  if (module == "collections" && name == "OrderedDict")
    return static_cast<int64_t>(PickleGlobal::OrderedDict);
  if (module == "torch._utils" && name == "_rebuild_tensor_v2")
    return static_cast<int64_t>(PickleGlobal::RebuildTensor);
  if (module == "torch._utils" && name == "_rebuild_parameter")
    return static_cast<int64_t>(PickleGlobal::RebuildParameter);
  if (module != "torch") return std::nullopt;
  if (name == "Size") return static_cast<int64_t>(PickleGlobal::Size);
  for (const StorageRow& row : kStorages) {
    if (name == row.name)
      return static_cast<int64_t>(PickleGlobal::Storage) + static_cast<int64_t>(row.dtype);
  }
  return std::nullopt;
}

std::string_view storage_class(DType dtype) {
  for (const StorageRow& row : kStorages) {
    if (row.dtype == dtype) return row.name;
  }
  throw make_error(ErrorKind::Internal, "torch.save", "cannot hold such values",
                   {.found = dtype_name(dtype)});
}

bool is_unsupported_tensor(std::string_view module, std::string_view name) {
  return (module == "torch._utils" && name.starts_with("_rebuild_")) ||
         (module == "torch._tensor" && name.starts_with("_rebuild_")) ||
         (module == "torch" && name.ends_with("Storage")) ||
         (module == "torch.storage" && name.ends_with("Storage"));
}

}  // namespace moellava
