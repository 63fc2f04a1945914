// NumPy's .npy (version 1.0, little-endian, C order): float32, int32, int64, uint8, bool.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace moellava {

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;  // every dtype is widened to float32 on reading
};

NpyArray read_npy(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const float> values);
void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const int32_t> values);

}  // namespace moellava
