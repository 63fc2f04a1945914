#include "generate/request.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/conversation.hpp"

namespace moellava {

int64_t positions_of(const MoeLlava& model, std::span<const int32_t> ids) {
  const int64_t images = std::count(ids.begin(), ids.end(), kImageTokenId);
  return std::ssize(ids) + images * (image_tokens(model.config()) - 1);
}

int64_t prompt_positions(const MoeLlava& model, const GenerateRequest& request) {
  if (request.ids.empty()) throw bad_data("prompt", "empty");
  const int64_t positions = positions_of(model, request.ids);
  const int64_t limit = model.config().decoder.max_positions;
  if (positions >= limit) {
    throw bad_data("prompt", "longer than the context",
                   {.found = std::to_string(positions) + " positions",
                    .expected = "less than " + std::to_string(limit)});
  }
  return positions;
}

bool may_drop(const ModelConfig& config, const MoeRun& run) {
  const MoeConfig& moe = config.moe;
  if (!moe.enabled()) return false;
  const double factor = run.capacity_factor.value_or(moe.eval_capacity_factor);
  const int64_t most = *std::max_element(moe.experts.begin(), moe.experts.end());
  const auto top_k = static_cast<double>(run.top_k.value_or(moe.top_k));
  return factor * top_k < static_cast<double>(most) || run.router_noise.defined();
}

}  // namespace moellava
