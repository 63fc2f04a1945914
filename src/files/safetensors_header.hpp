// The JSON header of a safetensors file, read without building a document: a header of a million tensors
// must not take gigabytes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/tensor_file.hpp"

namespace moellava {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes into the data section, not checked against it yet
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of the header; names may repeat
  std::map<std::string, std::string> metadata;
};

// Throws BadData naming the tensor and field, or the byte for what is no JSON at all.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& where);

}  // namespace moellava
