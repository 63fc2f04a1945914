#include "train/sample_record.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "files/json_records.hpp"

namespace moellava {

namespace {

std::string record_id(const Json& record, uint64_t number) {
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

size_t count_images(const Turn& turn) {
  return static_cast<size_t>(std::count_if(turn.parts.begin(), turn.parts.end(), [](const Part& part) {
    return std::holds_alternative<ImagePart>(part);
  }));
}

void require_markers(const Conversation& conversation, size_t images, const std::string& where) {
  size_t markers = 0;
  for (const Turn& turn : conversation.turns) markers += count_images(turn);
  if (markers == images) return;
  throw bad_data(where, "wrong number of <image> markers",
                 {.found = std::to_string(markers) + " <image> but " + std::to_string(images) +
                           (images == 1 ? " image" : " images")});
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
    if (!conversation.turns.empty() && conversation.turns.back().role == turn.role)
      throw bad_data(json.where() + ": from", "the same speaker twice in a row");
    if (turn.role == Role::Assistant && count_images(turn) > 0) {
      throw bad_data(json.where() + ": value", "<image> in an answer",
                     {.expected = "pictures in what the human says only"});
    }
    conversation.turns.push_back(std::move(turn));
  }
  require_markers(conversation, images, record.where());
  return conversation;
}

// Stage 1 trains captions: of a question only its picture is kept.
Conversation pictures_and_answers(Conversation conversation) {
  for (Turn& turn : conversation.turns) {
    if (turn.role != Role::User) continue;
    std::erase_if(turn.parts, [](const Part& part) { return !std::holds_alternative<ImagePart>(part); });
  }
  return conversation;
}

void require_embeddings(const std::vector<int32_t>& ids, int64_t vocab_size, const std::string& where) {
  const auto outside = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id >= vocab_size; });
  if (outside == ids.end()) return;
  throw bad_data(where, "the tokenizer gives an id that the model has no embedding for",
                 {.found = std::to_string(*outside), .expected = "below " + std::to_string(vocab_size)});
}

// The first position is predicted by nobody.
void require_target(const std::vector<int32_t>& labels, int64_t max_length, const std::string& where) {
  const bool trained = std::any_of(labels.begin() + (labels.empty() ? 0 : 1), labels.end(),
                                   [](int32_t label) { return label != kIgnoreLabel; });
  if (trained) return;
  throw bad_data(
      where, "no token to train on",
      {.expected = "an answer from gpt within the first " + std::to_string(max_length) + " tokens"});
}

}  // namespace

std::string place_name(const RecordPlace& place) {
  return place.file.string() + ": line " + std::to_string(place.begin.line) + ", record " +
         std::to_string(place.number);
}

SampleRecord read_sample_record(std::string_view text, const RecordPlace& place, std::string& id) {
  const Json json = parse_json_part(text, place.begin, place_name(place), {.bytes = kLargestRecord});
  SampleRecord sample;
  sample.id = id = record_id(json, place.number);
  sample.where = place_name(place) + ", id \"" + printable(id) + "\"";
  const JsonObject record(json, sample.where);
  if (record.has("video")) throw bad_data(sample.where + ": video", "video is not supported");
  sample.images = image_names(record);
  sample.conversation = read_conversation(record, sample.images.size());
  return sample;
}

TokenisedRecord tokenise_record(const SampleRecord& record, const TokeniserOptions& options) {
  const bool plain = options.style->name == "plain";
  TokenisedConversation tokens = tokenise(
      render(plain ? pictures_and_answers(record.conversation) : record.conversation, *options.style),
      *options.tokenizer);
  TokenisedRecord tokenised{.tokens = {}, .pictures = 0, .full_length = tokens.ids.size()};
  const size_t kept = std::min(tokens.ids.size(), static_cast<size_t>(options.max_length));
  tokens.ids.resize(kept);
  tokens.labels.resize(kept);
  require_embeddings(tokens.ids, options.vocab_size, record.where);
  require_target(tokens.labels, options.max_length, record.where);
  tokenised.pictures = static_cast<size_t>(std::count(tokens.ids.begin(), tokens.ids.end(), kImageTokenId));
  tokenised.tokens = {.ids = std::move(tokens.ids), .labels = std::move(tokens.labels)};
  return tokenised;
}

}  // namespace moellava
