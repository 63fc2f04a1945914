// Where in its picture a visual token is from.
#pragma once

#include <cstddef>
#include <optional>

namespace moellava {

// The patches of a picture in rows. Token n stands at cell n + first, counted along the rows.
struct PatchGrid {
  size_t columns = 0;
  size_t rows = 0;
  int first = 0;  // 1: the first cell has no token; -1: the first token is of no cell

  // The cell of a token; nothing when it is of none.
  std::optional<size_t> cell(size_t token) const;
};

// Told by the number of tokens of a picture: a square (CLIP, EfficientNet, pooled ones), a square less its
// first cell (SigLIP in the original, which takes it for a class token), a square behind a class token
// (cls_patch). Anything else has no places: rows of equal length, the last one perhaps shorter.
PatchGrid patch_grid(size_t tokens);

}  // namespace moellava
