// torch.save files, both the zip format and the legacy one, read by a pickle interpreter that can call
// nothing: a fixed list of opcodes and a handful of known globals build dicts, lists, numbers and tensor
// references only.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "files/tensor_file.hpp"

namespace moellava {

// The tensors of a state dict; nested dicts are joined with ".". Non-contiguous tensors are copied.
TensorFile open_torch_file(const std::filesystem::path& path);
TensorFile parse_torch_file(std::span<const std::byte> bytes, const std::string& where);

}  // namespace moellava
