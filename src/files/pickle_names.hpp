// Names of what a pickle may hold: all opcodes (for errors) and the globals that are let in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "files/tensor_file.hpp"

namespace moellava {

// What an allowed global stands for. Storage classes are numbered from `Storage` on by their DType.
enum class PickleGlobal : int64_t { OrderedDict, RebuildTensor, RebuildParameter, Size, Storage };

// "STACK_GLOBAL", or "0x07" for a byte that is no opcode.
std::string opcode_name(uint8_t opcode);
// Whether Python would call or import something at this opcode.
bool opcode_runs_code(uint8_t opcode);

// The number of an allowed global: a PickleGlobal, or Storage plus the DType.
std::optional<int64_t> allowed_global(std::string_view module, std::string_view name);
// "FloatStorage" of F32; throws Internal for a type that torch has no storage of.
std::string_view storage_class(DType dtype);
// Globals of torch that hold data, but not the dense tensors read here.
bool is_unsupported_tensor(std::string_view module, std::string_view name);

}  // namespace moellava
