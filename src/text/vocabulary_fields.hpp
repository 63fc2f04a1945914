// Pieces that the several tokenizer files have in common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "text/added_tokens.hpp"

namespace moellava {

constexpr JsonLimits kTokenizerFileLimits{.bytes = 64ull << 20};
constexpr int64_t kLargestTokenId = 1 << 24;

// {"token": id, ...}
std::vector<std::pair<std::string, int32_t>> read_vocab(const Json& vocab, const std::string& where);

// "left right"
std::pair<std::string, std::string> split_merge(std::string_view line, const std::string& where);

// {"content": text, "special": ..., ...}, whose id stands elsewhere.
AddedToken read_added_token(const JsonObject& json, int64_t id);

}  // namespace moellava
