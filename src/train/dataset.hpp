// LLaVA data files to tokenised samples:
//   [{"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"},
//                                                    {"from": "gpt", "value": "A cat."}]}, ...]
// `image` may be a list, or absent in text-only samples. Bad data stops the run and is never replaced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/splice.hpp"
#include "text/conversation.hpp"

namespace moellava {

struct Sample {
  std::string id;                // as the file spells it, or the record's number
  SampleIds tokens;              // at least one trained label
  std::vector<size_t> pictures;  // of Dataset::pictures, one for each image marker in order
};

struct Picture {
  std::filesystem::path path;
  std::string where;  // the first record that shows it, for errors
};

struct Dataset {
  std::vector<Sample> samples;
  std::vector<Picture> pictures;  // distinct, in order of first appearance
  std::string hash;               // of the data files and the pictures' names and sizes
  int64_t truncated = 0;          // samples cut to max_length
  int64_t duplicate_ids = 0;
};

struct DatasetOptions {
  const Tokenizer* tokenizer = nullptr;
  const ConversationStyle* style = nullptr;
  std::filesystem::path image_folder;
  int64_t max_length = 2048;  // ids a sample keeps; a picture counts as one and is never cut
  int64_t vocab_size = 0;     // rows of the embedding: larger ids are refused
};

// Reads all files in order. Throws BadData naming file, record number and id.
Dataset load_dataset(const std::vector<std::filesystem::path>& files, const DatasetOptions& options);

// Positions of a sample in the decoder, each picture counted as `tokens_per_picture`.
int64_t sample_length(const Sample& sample, int64_t tokens_per_picture);

}  // namespace moellava
