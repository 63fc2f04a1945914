#include "model/padding.hpp"

#include <algorithm>

#include "nn/attention.hpp"

namespace moellava {

at::Tensor real_positions(const std::vector<int64_t>& lengths, int64_t count, PaddingSide side) {
  const bool padded =
      std::any_of(lengths.begin(), lengths.end(), [&](int64_t length) { return length < count; });
  if (!padded) return {};
  const at::Tensor place = at::arange(count, at::kLong).unsqueeze(0);     // [1, T]
  const at::Tensor length = at::tensor(lengths, at::kLong).unsqueeze(1);  // [B, 1]
  return side == PaddingSide::Right ? place < length : place >= count - length;
}

at::Tensor own_positions(const at::Tensor& real) {
  const at::Tensor place = at::arange(real.size(1), at::kLong).expand(real.sizes());
  return at::where(real, real.to(at::kLong).cumsum(1) - 1, place);
}

at::Tensor seen_keys(const at::Tensor& real, int64_t count, int64_t window) {
  const int64_t cached = real.size(1) - count;
  at::Tensor seen = causal_mask(count, cached).logical_and(real.unsqueeze(1));  // [B, T, S]
  if (window > 0) {
    const at::Tensor own = own_positions(real);
    const at::Tensor distance = own.narrow(1, cached, count).unsqueeze(2) - own.unsqueeze(1);
    seen = seen.logical_and(distance < window);
  }
  // Padding that stands before its sample has nothing to see. Of nothing would come NaN, so it sees itself.
  const at::Tensor blind = seen.any(2, /*keepdim=*/true).logical_not();
  const at::Tensor itself = causal_mask(count, cached, /*window=*/1);
  return seen.logical_or(blind.logical_and(itself)).unsqueeze(1);
}

}  // namespace moellava
