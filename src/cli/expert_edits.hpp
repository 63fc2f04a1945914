// What-ifs about experts as flags: which experts to mask, which to swap.
#pragma once

#include <string>
#include <vector>

#include "model/config.hpp"

namespace moellava {

// `masks` are "LAYER:EXPERT", `swaps` "LAYER:EXPERT:EXPERT", numbers of the decoder's layers and of experts
// from 1, as in the figures; `top_k` choices a token. [L], or empty when nothing is asked. Throws Usage
// naming the flag for what is no such thing, for a layer without experts, and when fewer experts than choices
// are left.
std::vector<ExpertEdits> parse_expert_edits(const std::vector<std::string>& masks,
                                            const std::vector<std::string>& swaps, const MoeConfig& moe,
                                            int64_t top_k);

}  // namespace moellava
