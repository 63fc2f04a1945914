#include "train/dataset.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/fnv1a.hpp"
#include "base/json.hpp"
#include "base/path_below.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kLargestFile = 1ull << 30;

// FNV-1a over everything that decides the samples.
class Fingerprint {
 public:
  void add(std::string_view bytes) {
    hash_.add(bytes);
    hash_.add("\xff");  // ("a", "b") differs from ("ab", "")
  }
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash_.value()));
    return digits;
  }

 private:
  Fnv1a hash_;
};

// "data.json: record 12, id \"x\""
std::string record_name(const fs::path& file, size_t number, const std::string& id) {
  return file.string() + ": record " + std::to_string(number) + ", id \"" + printable(id) + "\"";
}

std::string record_id(const Json& record, size_t number) {
  if (record.is_object() && record.contains("id")) {
    const Json& id = record["id"];
    if (id.is_string()) return id.get<std::string>();
    if (id.is_number()) return id.dump();
  }
  return std::to_string(number);
}

std::vector<std::string> image_names(const JsonObject& record) {
  if (!record.has("image")) return {};
  const Json& image = record.at("image");
  if (image.is_string()) return {image.get<std::string>()};
  std::vector<std::string> names;
  bool strings = image.is_array();
  if (strings) {
    for (const Json& name : image) {
      strings = strings && name.is_string();
      if (strings) names.push_back(name.get<std::string>());
    }
  }
  if (!strings) throw bad_data(record.where() + ": image", "not a file name or a list of file names");
  return names;
}

Role role_of(const JsonObject& turn) {
  const std::string from = turn.string("from");
  if (from == "human") return Role::User;
  if (from == "gpt") return Role::Assistant;
  throw bad_data(turn.where() + ": from", "unknown speaker",
                 {.found = "\"" + printable(from) + "\"", .expected = "human or gpt"});
}

size_t count_images(const Conversation& conversation) {
  size_t images = 0;
  for (const Turn& turn : conversation.turns) {
    images += static_cast<size_t>(std::count_if(turn.parts.begin(), turn.parts.end(), [](const Part& part) {
      return std::holds_alternative<ImagePart>(part);
    }));
  }
  return images;
}

Conversation read_conversation(const JsonObject& record, size_t images) {
  const Json& turns = record.at("conversations");
  if (!turns.is_array()) throw bad_data(record.where() + ": conversations", "not a list of turns");
  Conversation conversation;
  for (size_t i = 0; i < turns.size(); ++i) {
    const JsonObject json(turns[i], record.where() + ": conversations[" + std::to_string(i) + "]");
    Turn turn{.role = role_of(json), .parts = split_image_markers(json.string("value"))};
    // As the original does: what the assistant says before anybody asked is left out.
    if (i == 0 && turn.role == Role::Assistant) continue;
    if (!conversation.turns.empty() && conversation.turns.back().role == turn.role) {
      throw bad_data(json.where() + ": from", "the same speaker twice in a row");
    }
    conversation.turns.push_back(std::move(turn));
    if (conversation.turns.back().role == Role::Assistant &&
        count_images({.turns = {conversation.turns.back()}, .system = ""}) > 0) {
      throw bad_data(json.where() + ": value", "<image> in an answer",
                     {.expected = "pictures in what the human says only"});
    }
  }
  if (const size_t markers = count_images(conversation); markers != images) {
    throw bad_data(record.where(), "wrong number of <image> markers",
                   {.found = std::to_string(markers) + " <image> but " + std::to_string(images) +
                             (images == 1 ? " image" : " images")});
  }
  return conversation;
}

// Stage 1 trains captions: of a question only its picture is kept.
void keep_pictures_only(Conversation& conversation) {
  for (Turn& turn : conversation.turns) {
    if (turn.role != Role::User) continue;
    std::erase_if(turn.parts, [](const Part& part) { return !std::holds_alternative<ImagePart>(part); });
  }
}

class Loader {
 public:
  explicit Loader(const DatasetOptions& options) : options_(options) {}

  void add_file(const fs::path& path) {
    const std::string text = read_file(path, kLargestFile);
    hash_.add(text);
    const Json records = parse_json(text, path.string(), {.bytes = kLargestFile, .depth = 64});
    if (!records.is_array() || records.empty()) {
      throw bad_data(path.string(), "not a list of samples",
                     {.found = records.is_array() ? "an empty list" : records.type_name(),
                      .expected = "[{\"id\", \"image\", \"conversations\"}, ...]"});
    }
    for (size_t i = 0; i < records.size(); ++i) add_record(path, i, records[i]);
  }

  Dataset finish() {
    dataset_.hash = hash_.text();
    return std::move(dataset_);
  }

 private:
  void add_record(const fs::path& file, size_t number, const Json& json) {
    Sample sample{.id = record_id(json, number), .tokens = {}, .pictures = {}};
    const JsonObject record(json, record_name(file, number, sample.id));
    if (record.has("video")) throw bad_data(record.where() + ": video", "video is not supported");
    const std::vector<std::string> images = image_names(record);
    Conversation conversation = read_conversation(record, images.size());
    if (options_.style->name == "plain") keep_pictures_only(conversation);
    sample.tokens = tokenise_sample(conversation, record.where());
    for (const std::string& image : images) sample.pictures.push_back(picture(image, record.where()));
    // A picture behind the cut goes with its marker.
    const auto& ids = sample.tokens.ids;
    sample.pictures.resize(static_cast<size_t>(std::count(ids.begin(), ids.end(), kImageTokenId)));
    if (!ids_.insert(sample.id).second) ++dataset_.duplicate_ids;
    dataset_.samples.push_back(std::move(sample));
  }

  SampleIds tokenise_sample(const Conversation& conversation, const std::string& where) {
    TokenisedConversation tokens = tokenise(render(conversation, *options_.style), *options_.tokenizer);
    const auto limit = static_cast<size_t>(options_.max_length);
    if (tokens.ids.size() > limit) {
      tokens.ids.resize(limit);
      tokens.labels.resize(limit);
      ++dataset_.truncated;
    }
    for (int32_t id : tokens.ids) {
      if (id < options_.vocab_size) continue;
      throw bad_data(
          where, "the tokenizer gives an id that the model has no embedding for",
          {.found = std::to_string(id), .expected = "below " + std::to_string(options_.vocab_size)});
    }
    // The first position is predicted by nobody.
    const bool trained =
        std::any_of(tokens.labels.begin() + (tokens.labels.empty() ? 0 : 1), tokens.labels.end(),
                    [](int32_t label) { return label != kIgnoreLabel; });
    if (!trained) {
      throw bad_data(where, "no token to train on",
                     {.expected = "an answer from gpt within the first " +
                                  std::to_string(options_.max_length) + " tokens"});
    }
    return {.ids = std::move(tokens.ids), .labels = std::move(tokens.labels)};
  }

  size_t picture(const std::string& name, const std::string& where) {
    const auto [entry, is_new] = picture_numbers_.try_emplace(name, dataset_.pictures.size());
    if (is_new) {
      if (options_.image_folder.empty()) {
        throw usage_error(where + ": image", "the data has pictures",
                          {.expected = "--image_folder, the folder that holds them"});
      }
      const fs::path path = path_below(options_.image_folder, name, where + ": image");
      hash_.add(name);
      hash_.add(std::to_string(fs::file_size(path)));
      dataset_.pictures.push_back({.path = path, .where = where});
    }
    return entry->second;
  }

  const DatasetOptions& options_;
  Fingerprint hash_;
  Dataset dataset_;
  std::unordered_map<std::string, size_t> picture_numbers_;
  std::unordered_set<std::string> ids_;
};

}  // namespace

Dataset load_dataset(const std::vector<fs::path>& files, const DatasetOptions& options) {
  Loader loader(options);
  for (const fs::path& file : files) loader.add_file(file);
  return loader.finish();
}

int64_t sample_length(const Sample& sample, int64_t tokens_per_picture) {
  const auto pictures = static_cast<int64_t>(sample.pictures.size());
  return static_cast<int64_t>(sample.tokens.ids.size()) + pictures * (tokens_per_picture - 1);
}

}  // namespace moellava
