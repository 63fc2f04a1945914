// to_float32: plain types by value, ggml's block types by their layouts. Data may be unaligned.
#include <bit>

#include "files/bytes.hpp"
#include "files/naming.hpp"
#include "files/tensor_file.hpp"

namespace moellava {

namespace {

float float_from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // The 10-bit fraction moves under float's exponent; 2^112 corrects the bias, and normalises subnormals too.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

float float_from_bfloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

template <typename T, typename Convert>
void convert_each(const std::byte* in, std::span<float> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = convert(load<T>(in + i * sizeof(T)));
}

template <typename T>
void convert_values(const std::byte* in, std::span<float> out) {
  convert_each<T>(in, out, [](T value) { return static_cast<float>(value); });
}

// Q8_0: half scale, 32 int8.
void dequantize_q8_0(const std::byte* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += 32, in += 34) {
    const float scale = float_from_half(load<uint16_t>(in));
    for (size_t j = 0; j < 32; ++j) out[i + j] = scale * static_cast<float>(load<int8_t>(in + 2 + j));
  }
}

// Q4_0 and Q4_1: byte j holds value j in its low and value j + 16 in its high half.
void dequantize_nibbles(const std::byte* nibbles, float scale, float shift, float* out) {
  for (size_t j = 0; j < 16; ++j) {
    const auto byte = std::to_integer<int>(nibbles[j]);
    out[j] = scale * static_cast<float>(byte & 15) + shift;
    out[j + 16] = scale * static_cast<float>(byte >> 4) + shift;
  }
}

// Q4_0: half scale, 16 bytes; values run from -8 to 7. The shift by -8 scales is exact in float32.
void dequantize_q4_0(const std::byte* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += 32, in += 18) {
    const float scale = float_from_half(load<uint16_t>(in));
    dequantize_nibbles(in + 2, scale, -8.0f * scale, &out[i]);
  }
}

// Q4_1: half scale, half minimum, 16 bytes.
void dequantize_q4_1(const std::byte* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += 32, in += 20) {
    dequantize_nibbles(in + 4, float_from_half(load<uint16_t>(in)), float_from_half(load<uint16_t>(in + 2)),
                       &out[i]);
  }
}

// Q6_K: 256 values as two halves of 128. Low 4 bits: 64 bytes a half; high 2 bits: 32 bytes a half; 16 int8
// scales, each for 16 values; half super-scale. Within a half, value 32 g + l takes its low bits from byte
// 32 (g % 2) + l (low nibble for g < 2) and its high bits from bit pair g of byte l.
void dequantize_q6_k(const std::byte* in, std::span<float> out) {
  constexpr size_t kHighBits = 128;
  constexpr size_t kScales = kHighBits + 64;
  constexpr size_t kSuperScale = kScales + 16;
  for (size_t i = 0; i < out.size(); i += 256, in += 210) {
    const float super_scale = float_from_half(load<uint16_t>(in + kSuperScale));
    for (size_t j = 0; j < 256; ++j) {
      const size_t half = j / 128;
      const size_t group = j % 128 / 32;
      const size_t lane = j % 32;
      const int low_byte = std::to_integer<int>(in[64 * half + 32 * (group % 2) + lane]);
      const int low = group < 2 ? low_byte & 15 : low_byte >> 4;
      const int high = std::to_integer<int>(in[kHighBits + 32 * half + lane]) >> (2 * group) & 3;
      const auto scale = static_cast<float>(load<int8_t>(in + kScales + j / 16));
      out[i + j] = super_scale * scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

void convert(DType dtype, const std::byte* in, std::span<float> out) {
  switch (dtype) {
    case DType::F64:
      return convert_values<double>(in, out);
    case DType::F32:
      return convert_values<float>(in, out);
    case DType::F16:
      return convert_each<uint16_t>(in, out, float_from_half);
    case DType::BF16:
      return convert_each<uint16_t>(in, out, float_from_bfloat);
    case DType::I64:
      return convert_values<int64_t>(in, out);
    case DType::I32:
      return convert_values<int32_t>(in, out);
    case DType::I16:
      return convert_values<int16_t>(in, out);
    case DType::I8:
      return convert_values<int8_t>(in, out);
    case DType::U8:
      return convert_values<uint8_t>(in, out);
    case DType::Bool:
      return convert_each<uint8_t>(in, out, [](uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
    case DType::Q8_0:
      return dequantize_q8_0(in, out);
    case DType::Q4_0:
      return dequantize_q4_0(in, out);
    case DType::Q4_1:
      return dequantize_q4_1(in, out);
    case DType::Q6_K:
      return dequantize_q6_k(in, out);
  }
}

}  // namespace

void to_float32(const TensorView& tensor, std::span<float> out) {
  const uint64_t numel = tensor.numel();
  const auto bytes = dtype_bytes(tensor.dtype, numel);
  if (out.size() != numel || bytes != tensor.data.size()) {
    throw make_error(ErrorKind::Internal, "tensor " + in_quotes(tensor.name), "sizes do not fit together",
                     {.found = std::to_string(tensor.data.size()) + " bytes and room for " +
                               std::to_string(out.size()) + " values",
                      .expected = std::to_string(numel) + " values"});
  }
  convert(tensor.dtype, tensor.data.data(), out);
}

}  // namespace moellava
