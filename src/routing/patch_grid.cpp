#include "routing/patch_grid.hpp"

#include <cmath>

namespace moellava {

std::optional<size_t> PatchGrid::cell(size_t token) const {
  if (first < 0 && token == 0) return std::nullopt;
  return token + static_cast<size_t>(first);  // wraps back for -1
}

PatchGrid patch_grid(size_t tokens) {
  if (tokens == 0) return {};
  auto side = static_cast<size_t>(std::sqrt(static_cast<double>(tokens)));
  while (side * side > tokens) --side;
  while ((side + 1) * (side + 1) <= tokens) ++side;
  if (side * side == tokens) return {.columns = side, .rows = side};
  if ((side + 1) * (side + 1) == tokens + 1) return {.columns = side + 1, .rows = side + 1, .first = 1};
  if (side * side + 1 == tokens && side > 1) return {.columns = side, .rows = side, .first = -1};
  const size_t columns = side + 1;
  return {.columns = columns, .rows = (tokens + columns - 1) / columns};
}

}  // namespace moellava
