// Which format a file holds, by its first bytes: names never decide.
#pragma once

#include <span>
#include <string>

#include "base/error.hpp"

namespace moellava {

enum class FileKind {
  Safetensors,
  TorchZip,
  TorchLegacy,
  Gguf,
  GitLfsPointer,
  Html,
  Tar,
  Gzip,
  Hdf5,
  Unknown
};

FileKind file_kind(std::span<const std::byte> bytes);

// "Git LFS pointer, not the model: found 134 bytes, expected a safetensors file (run git lfs pull)".
Error wrong_kind(const std::string& where, std::span<const std::byte> bytes, const std::string& expected);

}  // namespace moellava
