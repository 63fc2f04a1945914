// Writing torch.save files in the zip format: a state dict that torch.load(weights_only=True) reads.
#pragma once

#include <filesystem>
#include <span>

#include "files/tensor_file.hpp"

namespace moellava {

// Atomically, tensors in the given order, each with a storage of its own, data aligned to 64 bytes as
// torch.save does. Throws Limit when the file would be larger than 4 GiB (ZIP64 is not written), Internal for
// a tensor of GGUF's quantised types.
void write_torch_file(const std::filesystem::path& path, std::span<const TensorView> tensors);

}  // namespace moellava
