#include "text/pair_merger.hpp"

#include <array>
#include <functional>
#include <mutex>
#include <queue>

namespace moellava {

namespace {

constexpr int32_t kNoToken = -1;
constexpr int32_t kNoMerge = -1;
// Bounds of what is remembered: about 4 MB. Words that come often are short and come early.
constexpr size_t kCachedWords = 1 << 14;
constexpr size_t kLongestCachedWord = 32;
// Parts of the cache with a lock each, so that many threads rarely meet.
constexpr size_t kShards = 64;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A token that still stands, linked to its neighbours.
struct Symbol {
  int32_t id;
  uint32_t begin, end;      // bytes of the word
  int32_t previous, next;   // -1 at the ends
  int32_t rank = kNoMerge;  // of the merge with the next one
  int32_t result = 0;       // and what it gives
};

}  // namespace

struct PairMerger::Cache {
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<Token>> words;
  };
  std::array<Shard, kShards> shards;

  Shard& shard_of(std::string_view word) { return shards[std::hash<std::string_view>()(word) % kShards]; }
};

PairMerger::PairMerger() : cache_(std::make_unique<Cache>()) {
  byte_ids_.fill(kNoToken);
}

PairMerger::~PairMerger() = default;

void PairMerger::set_byte(unsigned char byte, int32_t id) {
  byte_ids_[byte] = id;
}

void PairMerger::add_merge(int32_t left, int32_t right, int32_t rank, int32_t result) {
  merges_[pair_key(left, right)] = {rank, result};
}

void PairMerger::add_whole_word(std::string bytes, int32_t id) {
  whole_words_[std::move(bytes)] = id;
}

void PairMerger::merge(std::string_view word, std::vector<Token>& tokens) const {
  if (word.size() > kLongestCachedWord) return merge_afresh(word, tokens);
  const std::string key(word);
  Cache::Shard& shard = cache_->shard_of(word);
  {
    const std::lock_guard lock(shard.mutex);
    const auto known = shard.words.find(key);
    if (known != shard.words.end()) {
      tokens.assign(known->second.begin(), known->second.end());
      return;
    }
  }
  merge_afresh(word, tokens);
  const std::lock_guard lock(shard.mutex);
  if (shard.words.size() < kCachedWords / kShards) shard.words.emplace(key, tokens);
}

void PairMerger::merge_afresh(std::string_view word, std::vector<Token>& tokens) const {
  tokens.clear();
  if (!whole_words_.empty()) {
    const auto whole = whole_words_.find(std::string(word));
    if (whole != whole_words_.end()) {
      tokens.push_back({whole->second, 0, static_cast<uint32_t>(word.size())});
      return;
    }
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (uint32_t i = 0; i < word.size(); ++i) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(word[i])];
    if (id == kNoToken) continue;
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({.id = id, .begin = i, .end = i + 1, .previous = at - 1, .next = at + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  auto symbol = [&](int32_t at) -> Symbol& { return symbols[static_cast<size_t>(at)]; };
  auto look_up_merge = [&](int32_t left) {
    Symbol& first = symbol(left);
    first.rank = kNoMerge;
    if (first.next < 0) return;
    const auto found = merges_.find(pair_key(first.id, symbol(first.next).id));
    if (found == merges_.end()) return;
    first.rank = found->second.rank;
    first.result = found->second.result;
  };
  // Rank, then place; an entry is out of date when the symbol at that place has another rank by now.
  auto entry = [&](int32_t left) {
    return static_cast<uint64_t>(symbol(left).rank) << 32 | static_cast<uint32_t>(left);
  };
  std::vector<uint64_t> first_entries;
  first_entries.reserve(symbols.size());
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    look_up_merge(at);
    if (symbol(at).rank != kNoMerge) first_entries.push_back(entry(at));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue({}, std::move(first_entries));
  while (!queue.empty()) {
    const auto rank = static_cast<int32_t>(queue.top() >> 32);
    const auto at = static_cast<int32_t>(queue.top() & 0xffffffff);
    queue.pop();
    Symbol& left = symbol(at);
    if (left.rank != rank) continue;
    Symbol& right = symbol(left.next);
    left.id = left.result;
    left.end = right.end;
    left.next = right.next;
    right.rank = kNoMerge;
    right.id = kNoToken;
    if (left.next >= 0) symbol(left.next).previous = at;
    for (int32_t changed : {left.previous, at}) {
      if (changed < 0) continue;
      look_up_merge(changed);
      if (symbol(changed).rank != kNoMerge) queue.push(entry(changed));
    }
  }
  for (const Symbol& standing : symbols) {
    if (standing.id != kNoToken) tokens.push_back({standing.id, standing.begin, standing.end});
  }
}

}  // namespace moellava
