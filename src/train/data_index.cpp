#include "train/data_index.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/bulk_hash.hpp"
#include "base/fnv1a.hpp"
#include "base/progress.hpp"
#include "files/json_records.hpp"

namespace moellava {

namespace {

// Records that are worked on at once: enough for all threads, little in memory.
constexpr size_t kBlockRecords = 4096;
constexpr uint64_t kBlockBytes = 8 << 20;
constexpr uint64_t kShowProgress = 16 << 20;  // bytes of data

// A record after the threads' work.
struct Draft {
  RecordSpan span;
  std::string id;
  std::vector<std::string> images;
  size_t tokens = 0;
  size_t full_length = 0;
  uint32_t check = 0;
  std::optional<Error> error;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

void require_answer(const SampleRecord& record) {
  const std::vector<Turn>& turns = record.conversation.turns;
  const bool answered =
      std::any_of(turns.begin(), turns.end(), [](const Turn& turn) { return turn.role == Role::Assistant; });
  if (!answered) throw bad_data(record.where, "no token to train on", {.expected = "an answer from gpt"});
}

class IndexBuilder {
 public:
  IndexBuilder(std::span<const DataFile> files, const TokeniserOptions& options, const ProblemSink& problems)
      : files_(files), options_(options), problems_(problems) {}

  DataIndex build() {
    uint64_t total = 0;
    for (const DataFile& file : files_) total += file.text().size();
    if (total >= kShowProgress) progress_.emplace("reading data, MiB", static_cast<int64_t>(total >> 20));
    for (size_t i = 0; i < files_.size(); ++i) add_file(i);
    return std::move(index_);
  }

 private:
  void add_file(size_t number) {
    const DataFile& file = files_[number];
    std::optional<JsonRecords> records;
    std::optional<Error> fault;
    auto next = [&]() -> std::optional<RecordSpan> {
      try {
        if (!records) records.emplace(file.text(), file.path().string());
        return records->next();
      } catch (const Error& error) {
        fault = error;
        return std::nullopt;
      }
    };
    uint64_t record = 0;
    std::vector<Draft> block;
    uint64_t block_bytes = 0;
    auto finish_block = [&] {
      add_block(number, record, block);
      record += block.size();
      block.clear();
      block_bytes = 0;
    };
    while (const std::optional<RecordSpan> span = next()) {
      block.push_back({.span = *span, .id = {}, .images = {}, .error = {}});
      block_bytes += span->length;
      if (block.size() == kBlockRecords || block_bytes >= kBlockBytes) finish_block();
    }
    finish_block();
    done_bytes_ += file.text().size();
    if (!fault && record == 0) {
      fault =
          bad_data(file.path().string(), "not a list of samples",
                   {.found = "an empty list", .expected = "[{\"id\", \"image\", \"conversations\"}, ...]"});
    }
    if (fault) {
      problems_({.file = file.path().string(),
                 .line = 0,
                 .record = record,
                 .id = {},
                 .kind = fault->kind(),
                 .message = fault->what()});
    }
  }

  // The file's records from number `first` on.
  void add_block(size_t file, uint64_t first, std::vector<Draft>& block) {
    if (block.empty()) return;
    at::parallel_for(0, static_cast<int64_t>(block.size()), 16, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        read(file, first + i, block[i]);
    });
    for (size_t i = 0; i < block.size(); ++i) add(file, first + i, block[i]);
    const uint64_t end = block.back().span.offset + block.back().span.length;
    files_[file].release(block.front().span.offset, end);
    if (progress_) progress_->update(static_cast<int64_t>((done_bytes_ + end) >> 20));
  }

  RecordPlace place(size_t file, uint64_t number, const Draft& draft) const {
    return {.file = files_[file].path(), .number = number, .begin = draft.span.begin};
  }

  // In any thread.
  void read(size_t file, uint64_t number, Draft& draft) const {
    const std::string_view text = files_[file].text().substr(draft.span.offset, draft.span.length);
    draft.check = static_cast<uint32_t>(bulk_hash(bytes_of(text)));
    try {
      SampleRecord record = read_sample_record(text, place(file, number, draft), draft.id);
      if (record.images.size() > UINT16_MAX) throw bad_data(record.where, "too many pictures");
      draft.images = std::move(record.images);
      if (options_.tokenizer == nullptr) {
        require_answer(record);
        return;
      }
      const TokenisedRecord tokenised = tokenise_record(record, options_);
      draft.tokens = tokenised.tokens.ids.size();
      draft.full_length = tokenised.full_length;
      draft.images.resize(tokenised.pictures);
    } catch (const Error& error) {
      draft.error = error;
    }
  }

  void add(size_t file, uint64_t number, const Draft& draft) {
    if (draft.error) return report(file, number, draft, draft.error->kind(), draft.error->what(), false);
    const std::string where = place_name(place(file, number, draft)) + ", id \"" + printable(draft.id) + "\"";
    if (draft.full_length > draft.tokens) {
      ++index_.truncated;
      report(file, number, draft, ErrorKind::BadData,
             make_error(ErrorKind::BadData, where, "is cut",
                        {.found = std::to_string(draft.full_length) + " tokens",
                         .expected = "at most " + std::to_string(options_.max_length)})
                 .what(),
             true);
    }
    Fnv1a id_hash;
    id_hash.add(draft.id);
    if (!ids_.try_emplace(id_hash.value(), index_.samples.size()).second) {
      ++index_.duplicate_ids;
      const SampleEntry& before = index_.samples[ids_[id_hash.value()]];
      report(file, number, draft, ErrorKind::BadData,
             where + ": has the id of " + files_[before.file].path().string() + ": line " +
                 std::to_string(before.line) + ", record " + std::to_string(before.record),
             true);
    }
    index_.samples.push_back({.offset = draft.span.offset,
                              .bytes = static_cast<uint32_t>(draft.span.length),
                              .check = draft.check,
                              .line = static_cast<uint32_t>(draft.span.begin.line),
                              .column = static_cast<uint32_t>(draft.span.begin.column),
                              .record = static_cast<uint32_t>(number),
                              .tokens = static_cast<uint32_t>(draft.tokens),
                              .first_picture = static_cast<uint32_t>(index_.shown.size()),
                              .pictures = static_cast<uint16_t>(draft.images.size()),
                              .file = static_cast<uint16_t>(file)});
    for (const std::string& image : draft.images) index_.shown.push_back(picture(image));
  }

  void report(size_t file, uint64_t number, const Draft& draft, ErrorKind kind, const std::string& message,
              bool warning) {
    problems_({.file = files_[file].path().string(),
               .line = draft.span.begin.line,
               .record = number,
               .id = draft.id,
               .kind = kind,
               .message = message,
               .warning = warning});
  }

  uint32_t picture(const std::string& name) {
    const auto [entry, is_new] =
        picture_numbers_.try_emplace(name, static_cast<uint32_t>(index_.pictures.size()));
    if (is_new) index_.pictures.add(name);
    return entry->second;
  }

  std::span<const DataFile> files_;
  const TokeniserOptions& options_;
  const ProblemSink& problems_;
  DataIndex index_;
  std::unordered_map<std::string, uint32_t> picture_numbers_;
  std::unordered_map<uint64_t, size_t> ids_;  // hash of the id: first sample with it
  std::optional<Progress> progress_;
  uint64_t done_bytes_ = 0;
};

}  // namespace

DataIndex build_index(std::span<const DataFile> files, const TokeniserOptions& options,
                      const ProblemSink& problems) {
  return IndexBuilder(files, options, problems).build();
}

}  // namespace moellava
