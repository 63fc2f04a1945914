// tokenizer.json of Hugging Face's tokenizers. What would change the ids and is not known here is refused.
#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "text/tokenizer_files.hpp"
#include "text/vocabulary_fields.hpp"

namespace moellava {

namespace {

void require_type(const JsonObject& step, std::string_view type) {
  const std::string found = step.string("type");
  if (found != type)
    throw bad_data(step.where(), "unsupported", {.found = printable(found), .expected = std::string(type)});
}

// The regular expression of a Split step.
WordPattern pattern_of_split(const JsonObject& split) {
  require_type(split, "Split");
  if (split.string("behavior") != "Isolated" || split.boolean_or("invert", false))
    throw bad_data(split.where() + ": behavior", "unsupported",
                   {.found = printable(split.string("behavior")) +
                             (split.boolean_or("invert", false) ? ", inverted" : ""),
                    .expected = "Isolated"});
  const std::string source = split.object("pattern").string("Regex");
  for (WordPattern pattern : {WordPattern::Gpt2, WordPattern::Qwen2, WordPattern::Llama3}) {
    if (source == pattern_source(pattern)) return pattern;
  }
  throw bad_data(split.where() + ": pattern", "unsupported word pattern",
                 {.found = printable(source), .expected = "one of GPT-2, Qwen2 or Llama 3"});
}

WordPattern read_pre_tokenizer(const JsonObject& json) {
  auto require_plain_bytes = [](const JsonObject& step, bool use_regex) {
    require_type(step, "ByteLevel");
    if (step.boolean_or("add_prefix_space", true))
      throw bad_data(step.where() + ": add_prefix_space", "not supported", {.expected = "false"});
    if (step.boolean_or("use_regex", true) != use_regex)
      throw bad_data(step.where() + ": use_regex", "not supported here");
  };
  if (json.string("type") == "ByteLevel") {
    require_plain_bytes(json, true);
    return WordPattern::Gpt2;
  }
  require_type(json, "Sequence");
  const Json& steps = json.at("pretokenizers");
  if (!steps.is_array() || steps.size() != 2)
    throw bad_data(json.where(), "unsupported sequence", {.expected = "two steps"});
  const JsonObject first(steps[0], json.where() + " step 1");
  const JsonObject second(steps[1], json.where() + " step 2");
  if (first.string("type") == "Digits") {
    if (!first.boolean_or("individual_digits", false))
      throw bad_data(first.where() + ": individual_digits", "not supported", {.expected = "true"});
    require_plain_bytes(second, true);
    return WordPattern::SmolLm;
  }
  const WordPattern pattern = pattern_of_split(first);
  require_plain_bytes(second, false);
  return pattern;
}

void read_merges(const Json& merges, const std::string& where, BpeVocabulary& vocabulary) {
  if (!merges.is_array()) throw bad_data(where, "not a list");
  for (const Json& merge : merges) {
    // Old files write "a b", new ones ["a", "b"].
    if (merge.is_string()) {
      vocabulary.merges.push_back(split_merge(merge.get_ref<const std::string&>(), where));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      vocabulary.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      throw bad_data(where, "not a merge", {.found = printable(merge.dump())});
    }
  }
}

void read_model(const JsonObject& model, BpeVocabulary& vocabulary) {
  const std::string type = model.string_or("type", "BPE");
  if (type != "BPE")
    throw bad_data(model.where() + ": type", "unsupported", {.found = printable(type), .expected = "BPE"});
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string_or(affix, "").empty())
      throw bad_data(model.where() + ": " + affix, "not supported",
                     {.found = "\"" + printable(model.string(affix)) + "\"", .expected = "none"});
  }
  if (model.has("dropout") && model.number("dropout") != 0)
    throw bad_data(model.where() + ": dropout", "not supported", {.expected = "null"});
  vocabulary.tokens = read_vocab(model.at("vocab"), model.where() + ": vocab");
  read_merges(model.at("merges"), model.where() + ": merges", vocabulary);
  vocabulary.ignore_merges = model.boolean_or("ignore_merges", false);
  // An unknown token matters only where a byte has no token; with all 256 it is never written.
  if (!model.has("unk_token")) return;
  const Json& vocab = model.at("vocab");
  for (int byte = 0; byte < 256; ++byte) {
    if (!vocab.contains(byte_spelling(static_cast<unsigned char>(byte))))
      throw bad_data(model.where() + ": unk_token", "not supported where bytes have no token",
                     {.found = "no token for byte " + std::to_string(byte)});
  }
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pre_tokenizer_json(WordPattern pattern) {
  if (pattern == WordPattern::Gpt2) return byte_level(true);
  if (pattern == WordPattern::SmolLm) {
    return {{"type", "Sequence"},
            {"pretokenizers", {Json{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}}};
  }
  const Json split{{"type", "Split"},
                   {"pattern", {{"Regex", pattern_source(pattern)}}},
                   {"behavior", "Isolated"},
                   {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}

Json added_tokens_json(const std::vector<AddedToken>& tokens) {
  std::map<int32_t, const AddedToken*> by_id;
  for (const AddedToken& token : tokens) by_id[token.id] = &token;
  Json added = Json::array();
  for (const auto& [id, token] : by_id) {
    added.push_back({{"id", id},
                     {"content", token->text},
                     {"single_word", false},
                     {"lstrip", token->lstrip},
                     {"rstrip", token->rstrip},
                     {"normalized", token->normalized},
                     {"special", token->special}});
  }
  return added;
}

}  // namespace

BpeVocabulary parse_tokenizer_json(std::string_view text, const std::string& where) {
  const Json document = parse_json(text, where, kTokenizerFileLimits);
  const JsonObject json(document, where);
  BpeVocabulary vocabulary;
  if (json.has("normalizer")) {
    require_type(json.object("normalizer"), "NFC");
    vocabulary.nfc = true;
  }
  vocabulary.pattern = read_pre_tokenizer(json.object("pre_tokenizer"));
  // Without one the ids are the same, and text comes of byte-level tokens in one way only.
  if (json.has("decoder")) require_type(json.object("decoder"), "ByteLevel");
  read_model(json.object("model"), vocabulary);
  if (json.has("added_tokens")) {
    const Json& added = json.at("added_tokens");
    if (!added.is_array()) throw bad_data(where + ": added_tokens", "not a list");
    for (const Json& entry : added) {
      const JsonObject token(entry, where + ": added_tokens");
      vocabulary.added.push_back(read_added_token(token, token.integer("id", 0, kLargestTokenId)));
    }
  }
  return vocabulary;
}

std::string tokenizer_json(const BpeVocabulary& vocabulary) {
  Json vocab = Json::object();
  for (const auto& [token, id] : vocabulary.tokens) vocab[token] = id;
  // "left right" is what every version reads; it cannot say a token with a space in it.
  const bool spaces = std::any_of(vocabulary.merges.begin(), vocabulary.merges.end(), [](const auto& merge) {
    return merge.first.find(' ') != std::string::npos || merge.second.find(' ') != std::string::npos;
  });
  Json merges = Json::array();
  for (const auto& [left, right] : vocabulary.merges)
    merges.push_back(spaces ? Json::array({left, right}) : Json(std::string(left).append(" ").append(right)));
  const Json tokenizer{{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", added_tokens_json(vocabulary.added)},
                       {"normalizer", vocabulary.nfc ? Json{{"type", "NFC"}} : Json()},
                       {"pre_tokenizer", pre_tokenizer_json(vocabulary.pattern)},
                       {"post_processor", nullptr},
                       {"decoder", byte_level(true)},
                       {"model",
                        {{"type", "BPE"},
                         {"dropout", nullptr},
                         {"unk_token", nullptr},
                         {"continuing_subword_prefix", nullptr},
                         {"end_of_word_suffix", nullptr},
                         {"fuse_unk", false},
                         {"byte_fallback", false},
                         {"ignore_merges", vocabulary.ignore_merges},
                         {"vocab", vocab},
                         {"merges", merges}}}};
  return tokenizer.dump(1) + "\n";
}

}  // namespace moellava
