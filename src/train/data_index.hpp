// What is kept in memory of data files of any size: for every sample where it stands, how long it is and
// which pictures it shows. The words stay on disk and are tokenised when a batch needs them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "train/data_file.hpp"
#include "train/sample_record.hpp"

namespace moellava {

// A record that cannot be trained on; or, as a warning, one that is not trained on as it stands.
struct DataProblem {
  std::string file;
  uint64_t line = 0;
  uint64_t record = 0;  // in its file, from 0
  std::string id;       // "" when it is not known
  ErrorKind kind = ErrorKind::BadData;
  std::string message;  // whole, with file, line, record and id
  bool warning = false;
};
using ProblemSink = std::function<void(const DataProblem&)>;

struct SampleEntry {
  uint64_t offset = 0;  // of the record in its file, bytes
  uint32_t bytes = 0;
  uint32_t check = 0;  // hash of the record's bytes
  uint32_t line = 0;
  uint32_t column = 0;
  uint32_t record = 0;         // in its file, from 0
  uint32_t tokens = 0;         // a picture counts as one; 0 without a tokenizer
  uint32_t first_picture = 0;  // of DataIndex::shown
  uint16_t pictures = 0;       // this many from there
  uint16_t file = 0;
};

// Strings one behind the other.
struct NameList {
  std::string text;
  std::vector<uint64_t> ends;  // [names]

  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    const uint64_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
  void add(std::string_view name) {
    text += name;
    ends.push_back(text.size());
  }
};

struct DataIndex {
  std::vector<SampleEntry> samples;
  std::vector<uint32_t> shown;  // picture numbers, sample after sample
  NameList pictures;            // distinct, in order of first appearance
  uint64_t truncated = 0;       // samples cut to the maximum length
  uint64_t duplicate_ids = 0;
};

// Reads all files once, in order, in several threads; the result and the order of the problems do not depend
// on their number. Bad records are left out and given to `problems`, as warnings also those that are cut or
// have the id of an earlier one. Without a tokenizer everything but the length is checked.
DataIndex build_index(std::span<const DataFile> files, const TokeniserOptions& options,
                      const ProblemSink& problems);

}  // namespace moellava
