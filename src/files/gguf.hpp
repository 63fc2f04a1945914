// GGUF version 2 and 3: metadata and tensors (F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q6_K).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "files/tensor_file.hpp"

namespace moellava {

// Integers of all widths are widened; arrays hold one kind.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

struct GgufFile {
  TensorFile tensors;  // shapes outermost first (GGUF stores them innermost first)
  std::map<std::string, GgufValue> metadata;

  bool has(const std::string& key) const { return metadata.contains(key); }
  // Typed access; throws BadData naming the file and the key when it is missing or of another type.
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  const std::string& string(const std::string& key) const;
  const std::vector<std::string>& strings(const std::string& key) const;
  const std::vector<int64_t>& integers(const std::string& key) const;
};

GgufFile open_gguf(const std::filesystem::path& path);
GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& where);

}  // namespace moellava
