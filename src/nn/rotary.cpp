#include "nn/rotary.hpp"

#include <algorithm>
#include <cmath>

namespace moellava {

RotaryTable rotary_table(const RotaryConfig& config, const at::Tensor& positions) {
  // fp32 throughout, as the reference computes it.
  const at::Tensor exponent = at::arange(0, config.dims, 2, at::kFloat) / static_cast<double>(config.dims);
  const at::Tensor frequency = 1.0 / at::pow(config.theta, exponent);
  const at::Tensor angle = at::outer(positions.to(at::kFloat), frequency);
  const at::Tensor both = at::cat({angle, angle}, -1);
  return {both.cos(), both.sin(), {}};
}

RotaryTable rotary_table(const RotaryConfig& config, int64_t first, int64_t count) {
  return rotary_table(config, at::arange(first, first + count));
}

double dynamic_ntk_theta(const RotaryConfig& config, int64_t length, int64_t native) {
  const double doublings = std::log2(static_cast<double>(length) / static_cast<double>(native));
  const double alpha = std::max(std::exp2(std::ceil(doublings + 1)) - 1, 1.0);
  const auto dims = static_cast<double>(config.dims);
  return dims > 2 ? config.theta * std::pow(alpha, dims / (dims - 2)) : config.theta;
}

at::Tensor logn_scale(const at::Tensor& positions, int64_t native) {
  if (positions.max().item<int64_t>() < native) return {};
  const at::Tensor number = positions.to(at::kFloat) + 1;
  return (number.log() / std::log(static_cast<double>(native))).clamp_min(1).unsqueeze(-1);
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table) {
  const int64_t dims = table.cos.size(-1);
  const int64_t head_dim = x.size(-1);
  const at::Tensor turning = dims == head_dim ? x : x.narrow(-1, 0, dims);
  const at::Tensor half_turned =
      at::cat({-turning.narrow(-1, dims / 2, dims / 2), turning.narrow(-1, 0, dims / 2)}, -1);
  const at::Tensor turned = turning * table.cos + half_turned * table.sin;
  if (dims == head_dim) return turned;
  return at::cat({turned, x.narrow(-1, dims, head_dim - dims)}, -1);
}

}  // namespace moellava
