// For the tests of this folder: the files in tests/golden/image.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/file_io.hpp"
#include "image/image.hpp"

namespace moellava {

inline std::string golden_path(const std::string& name) {
  return std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden/image/" + name;
}

inline std::string golden_bytes(const std::string& name) {
  return read_file(golden_path(name), 1 << 20);
}

inline Image decode_string(const std::string& bytes, const DecodeOptions& options = {}) {
  return decode_image(std::as_bytes(std::span(bytes)), "test", options);
}

inline uint32_t crc32_of(const std::vector<uint8_t>& bytes) {
  return static_cast<uint32_t>(crc32(0, bytes.data(), static_cast<uInt>(bytes.size())));
}

// The elements of a version 1 .npy file; the test knows their type and shape.
template <typename T>
std::vector<T> golden_npy(const std::string& name) {
  const std::string bytes = golden_bytes(name);
  const size_t start =
      10 + static_cast<uint8_t>(bytes.at(8)) + (size_t{static_cast<uint8_t>(bytes.at(9))} << 8);
  std::vector<T> values((bytes.size() - start) / sizeof(T));
  std::memcpy(values.data(), bytes.data() + start, values.size() * sizeof(T));
  return values;
}

}  // namespace moellava
