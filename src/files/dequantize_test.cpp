#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "files/tensor_file.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::le;

std::vector<float> converted(DType dtype, const std::string& bytes, int64_t numel) {
  // One byte in front: data in files is unaligned.
  const std::string shifted = "x" + bytes;
  std::vector<float> out(static_cast<size_t>(numel));
  to_float32({.name = "t", .dtype = dtype, .shape = {numel}, .data = test::bytes_of(shifted).subspan(1)},
             out);
  return out;
}

// IEEE 754 binary16 by its definition.
float half_value(uint16_t half) {
  const int sign = half >> 15;
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  double value = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  if (exponent == 31) value = fraction != 0 ? std::nan("") : std::numeric_limits<double>::infinity();
  return static_cast<float>(sign != 0 ? -value : value);
}

TEST(ToFloat32, AllHalves) {
  std::string bytes;
  for (uint32_t i = 0; i < 65536; ++i) bytes += le(static_cast<uint16_t>(i));
  const auto values = converted(DType::F16, bytes, 65536);
  for (uint32_t i = 0; i < 65536; ++i) {
    const float expected = half_value(static_cast<uint16_t>(i));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
    } else {
      ASSERT_EQ(values[i], expected) << i;
      ASSERT_EQ(std::signbit(values[i]), std::signbit(expected)) << i;
    }
  }
}

TEST(ToFloat32, PlainTypes) {
  EXPECT_EQ(converted(DType::F64, le(1.5) + le(-2e300), 2)[0], 1.5f);
  EXPECT_EQ(converted(DType::F32, le(-0.1f), 1)[0], -0.1f);
  EXPECT_EQ(converted(DType::BF16, le<uint16_t>(0xc049), 1)[0], -3.140625f);
  EXPECT_EQ(converted(DType::I64, le<int64_t>(-5'000'000'000), 1)[0], -5e9f);
  EXPECT_EQ(converted(DType::I32, le<int32_t>(-7), 1)[0], -7.0f);
  EXPECT_EQ(converted(DType::I16, le<int16_t>(-300), 1)[0], -300.0f);
  EXPECT_EQ(converted(DType::I8, "\x80", 1)[0], -128.0f);
  EXPECT_EQ(converted(DType::U8, "\x80", 1)[0], 128.0f);
  EXPECT_EQ(converted(DType::Bool, test::raw("\x00\x02"), 2), (std::vector<float>{0, 1}));
}

// Pseudo-random block content, with sane halves where the layout has scales.
std::string block_bytes(size_t size, uint32_t seed) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes += static_cast<char>(seed >> 24);
  }
  return bytes;
}
const std::string kScaleA = le<uint16_t>(0x2e66);  // 0.1 in binary16
const std::string kScaleB = le<uint16_t>(0xb800);  // -0.5
int byte_at(const std::string& bytes, size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

TEST(ToFloat32, Q8_0) {
  const std::string a = block_bytes(32, 1);
  const std::string b = block_bytes(32, 2);
  const auto values = converted(DType::Q8_0, kScaleA + a + kScaleB + b, 64);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(values[i], half_value(0x2e66) * static_cast<float>(static_cast<signed char>(a[i])));
    EXPECT_EQ(values[32 + i], -0.5f * static_cast<float>(static_cast<signed char>(b[i])));
  }
}

TEST(ToFloat32, Q4_0) {
  const std::string a = block_bytes(16, 3);
  const std::string b = block_bytes(16, 4);
  const auto values = converted(DType::Q4_0, kScaleA + a + kScaleB + b, 64);
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], half_value(0x2e66) * static_cast<float>(byte_at(a, i) % 16 - 8));
    EXPECT_EQ(values[i + 16], half_value(0x2e66) * static_cast<float>((byte_at(a, i) >> 4) - 8));
    EXPECT_EQ(values[i + 32], -0.5f * static_cast<float>(byte_at(b, i) % 16 - 8));
    EXPECT_EQ(values[i + 48], -0.5f * static_cast<float>((byte_at(b, i) >> 4) - 8));
  }
}

TEST(ToFloat32, Q4_1) {
  const std::string a = block_bytes(16, 5);
  const auto values = converted(DType::Q4_1, kScaleA + kScaleB + a, 32);
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_FLOAT_EQ(values[i], half_value(0x2e66) * static_cast<float>(byte_at(a, i) % 16) - 0.5f);
    EXPECT_FLOAT_EQ(values[i + 16], half_value(0x2e66) * static_cast<float>((byte_at(a, i) >> 4)) - 0.5f);
  }
}

// ggml's own order of loops: two halves; in each, 32 lanes that give four values.
TEST(ToFloat32, Q6_K) {
  const std::string low = block_bytes(128, 6);
  const std::string high = block_bytes(64, 7);
  const std::string scales = block_bytes(16, 8);
  const auto values = converted(DType::Q6_K, low + high + scales + kScaleA, 256);
  const float d = half_value(0x2e66);
  for (size_t half = 0; half < 2; ++half) {
    for (size_t lane = 0; lane < 32; ++lane) {
      const int l0 = byte_at(low, half * 64 + lane);
      const int l1 = byte_at(low, half * 64 + 32 + lane);
      const int h = byte_at(high, half * 32 + lane);
      const int q[4] = {l0 % 16 + 16 * (h % 4), l1 % 16 + 16 * (h / 4 % 4), l0 / 16 + 16 * (h / 16 % 4),
                        l1 / 16 + 16 * (h / 64)};
      for (size_t group = 0; group < 4; ++group) {
        const auto scale =
            static_cast<float>(static_cast<signed char>(scales[half * 8 + group * 2 + lane / 16]));
        EXPECT_EQ(values[half * 128 + group * 32 + lane], d * scale * static_cast<float>(q[group] - 32));
      }
    }
  }
}

TEST(ToFloat32, RefusesSizesThatDoNotFit) {
  std::vector<float> out(3);
  const std::string bytes(16, '\0');
  TensorView view{.name = "t", .dtype = DType::F32, .shape = {4}, .data = test::bytes_of(bytes)};
  EXPECT_THROW(to_float32(view, out), Error);
  out.resize(4);
  to_float32(view, out);
  view.data = view.data.first(15);
  EXPECT_THROW(to_float32(view, out), Error);
}

}  // namespace
}  // namespace moellava
