// Several requests answered at once.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "generate/request.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

// The answers that Engine gives the requests one by one, in one padded batch: what comes before a picture,
// and the picture itself, are run once for all requests that share them, and a request that has its answer
// leaves the batch. (Sums of floats come out differently in the last bits in batches of different sizes:
// where two tokens are as likely to seven digits, another one may be chosen.) Routers choose as the first
// request's `moe` says; its router_noise must be undefined. `on_answer` gets each answer as soon as it has
// ended. Errors as Engine's.
std::vector<GenerateResult> generate_batch(
    const MoeLlava& model, const Tokenizer& tokenizer, std::span<const GenerateRequest> requests,
    const std::function<void(size_t request, const GenerateResult&)>& on_answer = {});

}  // namespace moellava
