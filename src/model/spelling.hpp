// How published checkpoints name the tower, the projector and what the language model stands under. The
// language model's own names are its family's (families/family.hpp).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "files/tensor_file.hpp"
#include "model/families/family.hpp"

namespace moellava {

struct Spelling {
  std::string_view name;               // for people: whose way it is
  std::span<const Rename> beginnings;  // of names; the first one that fits is replaced

  std::string file_name(std::string_view canonical) const;
  std::string canonical_name(std::string_view file) const;
};

// The one that the names of these tensors show; MoE-LLaVA's where they show none.
const Spelling& spelling_of(const TensorFile& file);

}  // namespace moellava
