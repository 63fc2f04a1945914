// One record of a LLaVA data file:
//   {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"},
//                                                   {"from": "gpt", "value": "A cat."}]}
// `image` may be a list, or absent in text-only samples.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_part.hpp"
#include "model/splice.hpp"
#include "text/conversation.hpp"

namespace moellava {

struct RecordPlace {
  std::filesystem::path file;
  uint64_t number = 0;  // of the record in its file, from 0
  TextPosition begin;
};

struct SampleRecord {
  std::string id;                   // as the file spells it, or the record's number
  std::string where;                // "data.json: line 31, record 12, id \"x\"", for errors
  std::vector<std::string> images;  // names, one for each marker of the conversation in order
  Conversation conversation;
};

// "data.json: line 31, record 12"
std::string place_name(const RecordPlace& place);

// Throws BadData naming the place and, once it is known, the id. `id` is given the id as soon as it is known.
SampleRecord read_sample_record(std::string_view text, const RecordPlace& place, std::string& id);

struct TokeniserOptions {
  const Tokenizer* tokenizer = nullptr;
  const ConversationStyle* style = nullptr;
  int64_t max_length = 2048;  // ids a sample keeps; a picture counts as one and is never cut in half
  int64_t vocab_size = 0;     // rows of the embedding: larger ids are refused
};

struct TokenisedRecord {
  SampleIds tokens;        // at least one trained label
  size_t pictures = 0;     // that are left: one behind the cut goes with its marker
  size_t full_length = 0;  // ids before the cut
};
// Throws BadData naming the record when nothing is left to train.
TokenisedRecord tokenise_record(const SampleRecord& record, const TokeniserOptions& options);

}  // namespace moellava
