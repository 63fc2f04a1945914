#include "train/dataset.hpp"

#include <ATen/Parallel.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/bulk_hash.hpp"
#include "base/path_below.hpp"
#include "base/say.hpp"
#include "base/string_printf.hpp"
#include "train/index_cache.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// Smaller data is indexed in a second or two.
constexpr uint64_t kWorthKeeping = 16 << 20;  // bytes

uint64_t hash_of(std::string_view text, uint64_t seed) {
  return bulk_hash(std::as_bytes(std::span(text)), seed);
}

uint64_t content_hash(std::span<const DataFile> files) {
  uint64_t hash = 0;
  for (const DataFile& file : files) {
    const uint64_t part = file.hash();
    hash = bulk_hash(std::as_bytes(std::span(&part, 1)), hash);
  }
  return hash;
}

// A cache that cannot be read or written costs time, nothing else.
std::optional<DataIndex> read_kept(const IndexCache& cache, uint64_t key, std::span<const DataFile> files) {
  try {
    return cache.read(key, files);
  } catch (const Error& error) {
    say(std::string("index not read from the cache: ") + error.what());
    return std::nullopt;
  }
}
void keep(const IndexCache& cache, uint64_t key, const DataIndex& index) {
  try {
    cache.write(key, index);
  } catch (const Error& error) {
    say(std::string("index not kept in the cache: ") + error.what());
  }
}

// Only an index without bad samples is kept: those must be named each time.
DataIndex make_index(std::span<const DataFile> files, uint64_t content, const DatasetOptions& options,
                     const ProblemSink& problems) {
  uint64_t bytes = 0;
  for (const DataFile& file : files) bytes += file.text().size();
  const bool kept = !options.index_folder.empty() && options.text.tokenizer && bytes >= kWorthKeeping;
  if (!kept) return build_index(files, options.text, problems);

  const IndexCache cache(options.index_folder);
  const uint64_t key = index_key(files, content, options.text);
  if (std::optional<DataIndex> index = read_kept(cache, key, files)) return std::move(*index);
  bool clean = true;
  DataIndex index = build_index(files, options.text, [&](const DataProblem& problem) {
    clean = clean && problem.warning;
    problems(problem);
  });
  if (clean) keep(cache, key, index);
  return index;
}

}  // namespace

int64_t sample_length(const Sample& sample, int64_t tokens_per_picture) {
  const auto pictures = static_cast<int64_t>(sample.pictures.size());
  return static_cast<int64_t>(sample.tokens.ids.size()) + pictures * (tokens_per_picture - 1);
}

IndexedDataset::IndexedDataset(const std::vector<fs::path>& files, const DatasetOptions& options,
                               const ProblemSink& problems)
    : options_(options) {
  for (const fs::path& file : files) files_.emplace_back(file);
  const uint64_t content = content_hash(files_);
  index_ = make_index(files_, content, options_, problems);
  hash_ = string_printf("%016llx", static_cast<unsigned long long>(content));
  find_pictures(problems);
}

std::string IndexedDataset::where(const SampleEntry& sample) const {
  return record(sample).where;
}

SampleRecord IndexedDataset::record(const SampleEntry& sample) const {
  const DataFile& file = files_[sample.file];
  const RecordPlace place{
      .file = file.path(), .number = sample.record, .begin = {.line = sample.line, .column = sample.column}};
  const std::string text(file.text().substr(sample.offset, sample.bytes));
  file.release(sample.offset, sample.offset + sample.bytes);
  if (static_cast<uint32_t>(hash_of(text, 0)) != sample.check)
    throw bad_data(place_name(place), "changed while in use");
  std::string id;
  return read_sample_record(text, place, id);
}

Sample IndexedDataset::sample(size_t number) const {
  const SampleEntry& entry = index_.samples.at(number);
  SampleRecord read = record(entry);
  TokenisedRecord tokenised = tokenise_record(read, options_.text);
  if (tokenised.tokens.ids.size() != entry.tokens) {
    throw Error(ErrorKind::Internal, read.where + ": indexed by another tokenizer; remove " +
                                         printable(options_.index_folder.string()));
  }
  return {.id = std::move(read.id), .tokens = std::move(tokenised.tokens), .pictures = pictures(number)};
}

std::vector<size_t> IndexedDataset::pictures(size_t number) const {
  const SampleEntry& entry = index_.samples.at(number);
  const auto first = index_.shown.begin() + entry.first_picture;
  return {first, first + entry.pictures};
}

int64_t IndexedDataset::length(size_t number, int64_t tokens_per_picture) const {
  const SampleEntry& entry = index_.samples.at(number);
  return entry.tokens + entry.pictures * (tokens_per_picture - 1);
}

PictureFile IndexedDataset::picture(size_t number, const std::string& where) const {
  PictureFile file;
  file.path = path_below(options_.image_folder, picture_name(number), where + ": image");
  struct stat info {};
  if (::stat(file.path.c_str(), &info) != 0) throw io_error(file.path.string(), "cannot stat", errno);
  file.bytes = static_cast<uint64_t>(info.st_size);
  file.modified = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  return file;
}

std::string IndexedDataset::picture_where(size_t number) const {
  for (const SampleEntry& sample : index_.samples) {
    const auto first = index_.shown.begin() + sample.first_picture;
    if (std::find(first, first + sample.pictures, number) != first + sample.pictures) return where(sample);
  }
  return "picture " + std::to_string(number);
}

// All of them are looked for before training, in several threads; their sizes enter the hash.
void IndexedDataset::find_pictures(const ProblemSink& problems) {
  const size_t count = picture_count();
  if (count == 0) return;
  if (options_.image_folder.empty()) {
    throw usage_error(picture_where(0) + ": image", "the data has pictures",
                      {.expected = "--image_folder, the folder that holds them"});
  }
  if (!fs::is_directory(options_.image_folder)) {
    throw make_error(ErrorKind::Io, printable(options_.image_folder.string()), "no such folder",
                     {.hint = "--image_folder"});
  }
  std::vector<uint64_t> sizes(count);
  std::vector<char> missing(count);  // not bool: written by several threads
  at::parallel_for(0, static_cast<int64_t>(count), 64, [&](int64_t begin, int64_t end) {
    for (auto p = static_cast<size_t>(begin); p < static_cast<size_t>(end); ++p) {
      try {
        sizes[p] = picture(p, "").bytes;
      } catch (const Error&) {
        missing[p] = true;
      }
    }
  });
  uint64_t hash = hash_of(hash_, 0);
  for (size_t p = 0; p < count; ++p) hash = hash_of(index_.pictures[p], hash ^ sizes[p]);
  hash_ = string_printf("%016llx", static_cast<unsigned long long>(hash));
  drop_samples_showing(
      {missing.begin(), missing.end()},
      [&](size_t p, const std::string& record_name) { picture(p, record_name); }, problems);
}

void IndexedDataset::drop_samples_showing(const std::vector<bool>& bad, const PictureTest& test,
                                          const ProblemSink& problems) {
  if (std::find(bad.begin(), bad.end(), true) == bad.end()) return;
  std::erase_if(index_.samples, [&](const SampleEntry& sample) {
    const auto first = index_.shown.begin() + sample.first_picture;
    const auto found = std::find_if(first, first + sample.pictures, [&](uint32_t p) { return bad[p]; });
    if (found == first + sample.pictures) return false;
    const SampleRecord read = record(sample);
    try {
      test(*found, read.where);
    } catch (const Error& error) {
      problems({.file = files_[sample.file].path().string(),
                .line = sample.line,
                .record = sample.record,
                .id = read.id,
                .kind = error.kind(),
                .message = error.what()});
    }
    return true;
  });
}

void BadSamples::add(const DataProblem& problem) {
  if (problem.warning) return;
  if (count_ == allowed_) {
    const std::string limit =
        allowed_ == 0 ? "" : " (more than --skip_bad_samples " + std::to_string(allowed_) + ")";
    throw Error(problem.kind, problem.message + limit);
  }
  ++count_;
  say("left out: " + problem.message);
}

}  // namespace moellava
