// Putting pictures into text: every image marker becomes the picture's visual tokens.
// B samples, T positions of the longest, N visual tokens a picture, H width.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/decoder.hpp"

namespace moellava {

// One sample as the tokenizer leaves it: kImageTokenId where a picture stands.
struct SampleIds {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;  // as long as ids, or empty when nothing is trained
};

struct Spliced {
  at::Tensor embeddings;  // [B, T, H], padded with zeros
  at::Tensor labels;      // [B, T] int64, kIgnoreLabel on pictures and padding; undefined without labels
  std::vector<int64_t> lengths;  // [B] positions that are not padding
  PaddingSide padding = PaddingSide::Right;
  std::vector<std::vector<bool>> is_image;  // [B][length]
};

// `image_tokens` [M, N, H]: the projected pictures of all samples in order of appearance; undefined when M is
// 0. Throws BadData when the number of markers is not M.
Spliced splice(const Decoder& decoder, std::span<const SampleIds> samples, const at::Tensor& image_tokens,
               PaddingSide padding = PaddingSide::Right);

}  // namespace moellava
