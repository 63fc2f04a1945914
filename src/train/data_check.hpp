// Everything that training would find wrong with its data, found before it.
#pragma once

#include "image/image.hpp"
#include "train/dataset.hpp"

namespace moellava {

struct DataCheckOptions {
  DatasetOptions data;  // without a tokenizer, lengths are not looked at
  PreprocessConfig preprocess;
  bool decode = true;  // false: pictures only have to be there
};

struct DataReport {
  size_t samples = 0;  // that can be trained on
  size_t pictures = 0;
  int64_t bad = 0;
  int64_t warnings = 0;
};

// Reads all of it and gives every problem to `problems`: by file and record those of the words, then those of
// the pictures.
DataReport check_data(const std::vector<std::filesystem::path>& files, const DataCheckOptions& options,
                      const ProblemSink& problems);

}  // namespace moellava
