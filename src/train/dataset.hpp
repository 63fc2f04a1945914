// LLaVA data files as samples for training. Bad data stops the run, or is left out and named when so many bad
// samples are allowed; it is never replaced by other samples.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "train/data_index.hpp"

namespace moellava {

struct Sample {
  std::string id;                // as the file spells it, or the record's number
  SampleIds tokens;              // at least one trained label
  std::vector<size_t> pictures;  // numbers of pictures, one for each image marker in order
};

// Positions of a sample in the decoder, each picture counted as `tokens_per_picture`.
int64_t sample_length(const Sample& sample, int64_t tokens_per_picture);

// What training asks of its data.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual size_t size() const = 0;
  // Read and tokenised now. Throws BadData when the file has changed.
  virtual Sample sample(size_t number) const = 0;
  virtual std::vector<size_t> pictures(size_t number) const = 0;  // of that sample, without reading it
};

// A picture of the data.
struct PictureFile {
  std::filesystem::path path;  // found below the image folder, links resolved
  uint64_t bytes = 0;
  int64_t modified = 0;  // nanoseconds
};

struct DatasetOptions {
  TokeniserOptions text;
  std::filesystem::path image_folder;
  std::filesystem::path index_folder;  // keeps indexes of large data; "" keeps none
};

class IndexedDataset : public Dataset {
 public:
  // Reads all files in order and looks for every picture. Samples that cannot be used are given to `problems`
  // and left out. Throws Usage when there are pictures but no folder for them.
  IndexedDataset(const std::vector<std::filesystem::path>& files, const DatasetOptions& options,
                 const ProblemSink& problems);

  size_t size() const override { return index_.samples.size(); }
  Sample sample(size_t number) const override;
  std::vector<size_t> pictures(size_t number) const override;
  // Positions in the decoder, as sample_length.
  int64_t length(size_t number, int64_t tokens_per_picture) const;

  size_t picture_count() const { return index_.pictures.size(); }
  std::string picture_name(size_t number) const { return std::string(index_.pictures[number]); }
  // Throws BadData naming `where` when it is not there (any more).
  PictureFile picture(size_t number, const std::string& where) const;
  std::string picture_where(size_t number) const;  // the first record that shows it, for errors

  // Leaves out the samples that show one of the pictures with `bad[picture]`. Why, `test` tells: called with
  // such a picture and the record that shows it, it throws an Error.
  using PictureTest = std::function<void(size_t picture, const std::string& where)>;
  void drop_samples_showing(const std::vector<bool>& bad, const PictureTest& test,
                            const ProblemSink& problems);

  const std::string& hash() const { return hash_; }  // of the files' content, the pictures' names and sizes
  uint64_t truncated() const { return index_.truncated; }  // samples cut to max_length
  uint64_t duplicate_ids() const { return index_.duplicate_ids; }

 private:
  void find_pictures(const ProblemSink& problems);
  std::string where(const SampleEntry& sample) const;
  SampleRecord record(const SampleEntry& sample) const;

  std::vector<DataFile> files_;
  DatasetOptions options_;
  DataIndex index_;
  std::string hash_;
};

// What a run does with bad samples: stops at the first, or leaves out up to `allowed` of them, each named on
// stderr. Warnings are nothing to it.
class BadSamples {
 public:
  explicit BadSamples(int64_t allowed) : allowed_(allowed) {}
  void add(const DataProblem& problem);  // throws the problem's error when it is one too many
  int64_t count() const { return count_; }

 private:
  int64_t allowed_;
  int64_t count_ = 0;
};

}  // namespace moellava
