// Byte-pair encoding of one word: the best pair of neighbours is merged until none is left.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace moellava {

class PairMerger {
 public:
  // A token and the bytes of the word it stands for.
  struct Token {
    int32_t id;
    uint32_t begin, end;
  };

  PairMerger();
  ~PairMerger();

  void set_byte(unsigned char byte, int32_t id);  // bytes without an id are dropped before merging
  void add_merge(int32_t left, int32_t right, int32_t rank,
                 int32_t result);  // the last of equal pairs counts
  // Words that are tokens as they stand; their merges are not looked at.
  void add_whole_word(std::string bytes, int32_t id);

  // Time is O(n log n) in the word's length; short words are remembered. Safe to call from several threads.
  // Words are shorter than 2^31 bytes.
  void merge(std::string_view word, std::vector<Token>& tokens) const;

 private:
  struct Merge {
    int32_t rank, result;
  };
  struct Cache;
  void merge_afresh(std::string_view word, std::vector<Token>& tokens) const;

  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<uint64_t, Merge> merges_;
  std::unordered_map<std::string, int32_t> whole_words_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace moellava
