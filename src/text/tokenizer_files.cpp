#include "text/tokenizer_files.hpp"

#include <map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr JsonLimits kLimits{.bytes = 64ull << 20};
constexpr int64_t kLargestId = 1 << 24;

std::vector<std::pair<std::string, int32_t>> read_vocab(const Json& vocab, const std::string& where) {
  if (!vocab.is_object()) throw bad_data(where, "vocab is not an object");
  std::vector<std::pair<std::string, int32_t>> tokens;
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > kLargestId) {
      throw bad_data(where, "token id out of range",
                     {.found = printable(id.dump()) + " for \"" + printable(token) + "\"",
                      .expected = "0 to " + std::to_string(kLargestId)});
    }
    tokens.emplace_back(token, static_cast<int32_t>(id.get<int64_t>()));
  }
  return tokens;
}

std::pair<std::string, std::string> split_merge(std::string_view line, const std::string& where) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    throw bad_data(where, "not a merge",
                   {.found = "\"" + printable(line) + "\"", .expected = "two tokens with a space between"});
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

AddedToken read_added(const JsonObject& json, int64_t id) {
  if (json.boolean_or("single_word", false)) throw bad_data(json.where() + ": single_word", "not supported");
  return {.text = json.string("content"),
          .id = static_cast<int32_t>(id),
          .special = json.boolean_or("special", false),
          .lstrip = json.boolean_or("lstrip", false),
          .rstrip = json.boolean_or("rstrip", false)};
}

// The regular expression of a Split step.
WordPattern pattern_of_regex(const JsonObject& split) {
  const std::string source = split.object("pattern").string("Regex");
  for (WordPattern pattern : {WordPattern::Gpt2, WordPattern::Qwen2, WordPattern::Llama3}) {
    if (source == pattern_source(pattern)) return pattern;
  }
  throw bad_data(split.where() + ": pattern", "unsupported word pattern",
                 {.found = printable(source), .expected = "one of GPT-2, Qwen2 or Llama 3"});
}

void require_type(const JsonObject& step, std::string_view type) {
  const std::string found = step.string("type");
  if (found != type)
    throw bad_data(step.where(), "unsupported", {.found = printable(found), .expected = std::string(type)});
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
  require_type(first, "Split");
  require_plain_bytes(second, false);
  return pattern_of_regex(first);
}

// A token given by its text or as {"content": text}.
std::string token_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  return "";
}

}  // namespace

BpeVocabulary parse_tokenizer_json(std::string_view text, const std::string& where) {
  const Json document = parse_json(text, where, kLimits);
  const JsonObject json(document, where);
  const JsonObject model = json.object("model");
  if (model.string_or("type", "BPE") != "BPE")
    throw bad_data(where + ": model.type", "unsupported",
                   {.found = printable(model.string("type")), .expected = "BPE"});
  if (json.has("normalizer")) throw bad_data(where + ": normalizer", "not supported", {.expected = "null"});
  BpeVocabulary vocabulary;
  vocabulary.pattern = read_pre_tokenizer(json.object("pre_tokenizer"));
  vocabulary.tokens = read_vocab(model.at("vocab"), where);
  const Json& merges = model.at("merges");
  if (!merges.is_array()) throw bad_data(where + ": model.merges", "not a list");
  for (const Json& merge : merges) {
    // Old files write "a b", new ones ["a", "b"].
    if (merge.is_string()) {
      vocabulary.merges.push_back(split_merge(merge.get_ref<const std::string&>(), where));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      vocabulary.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      throw bad_data(where + ": model.merges", "not a merge", {.found = printable(merge.dump())});
    }
  }
  if (json.has("added_tokens")) {
    const Json& added = json.at("added_tokens");
    if (!added.is_array()) throw bad_data(where + ": added_tokens", "not a list");
    for (const Json& entry : added) {
      const JsonObject token(entry, where + ": added_tokens");
      vocabulary.added.push_back(read_added(token, token.integer("id", 0, kLargestId)));
    }
  }
  return vocabulary;
}

BpeVocabulary read_vocab_and_merges(const fs::path& folder) {
  BpeVocabulary vocabulary;
  const std::string vocab_path = (folder / "vocab.json").string();
  vocabulary.tokens = read_vocab(read_json(vocab_path, kLimits), vocab_path);
  const std::string merges_path = (folder / "merges.txt").string();
  const std::string merges = read_file(merges_path, kLimits.bytes);
  for (size_t begin = 0; begin < merges.size();) {
    const size_t end = std::min(merges.find('\n', begin), merges.size());
    std::string_view line = std::string_view(merges).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool heading = begin == 0 && line.starts_with("#version");
    if (!line.empty() && !heading) vocabulary.merges.push_back(split_merge(line, merges_path));
    begin = end + 1;
  }
  if (const fs::path path = folder / "added_tokens.json"; fs::exists(path)) {
    for (const auto& [token, id] : read_vocab(read_json(path, kLimits), path.string()))
      vocabulary.added.push_back({.text = token, .id = id});
  }
  return vocabulary;
}

void read_tokenizer_config(const fs::path& folder, BpeVocabulary& vocabulary) {
  std::map<std::string, int32_t> ids(vocabulary.tokens.begin(), vocabulary.tokens.end());
  std::map<std::string, size_t> added;
  for (size_t i = 0; i < vocabulary.added.size(); ++i) {
    ids[vocabulary.added[i].text] = vocabulary.added[i].id;
    added[vocabulary.added[i].text] = i;
  }
  auto make_special = [&](const std::string& token) {
    const auto known = added.find(token);
    if (known != added.end()) {
      vocabulary.added[known->second].special = true;
    } else if (ids.contains(token)) {
      added[token] = vocabulary.added.size();
      vocabulary.added.push_back({.text = token, .id = ids.at(token), .special = true});
    }
  };
  auto take_ids = [&](const JsonObject& json) {
    auto take = [&](std::string_view key, std::optional<int32_t>& id) {
      if (!json.has(key)) return;
      const std::string token = token_text(json.at(key));
      if (!ids.contains(token)) return;
      id = ids.at(token);
      make_special(token);
    };
    std::optional<int32_t> unknown_id;
    take("bos_token", vocabulary.bos_id);
    take("eos_token", vocabulary.eos_id);
    take("pad_token", vocabulary.pad_id);
    take("unk_token", unknown_id);
  };
  if (const fs::path path = folder / "special_tokens_map.json"; fs::exists(path)) {
    const Json document = read_json(path);
    take_ids(JsonObject(document, path.string()));
  }
  const fs::path path = folder / "tokenizer_config.json";
  if (!fs::exists(path)) return;
  const Json document = read_json(path);
  const JsonObject json(document, path.string());
  if (json.has("added_tokens_decoder")) {
    for (const auto& [key, entry] : json.object("added_tokens_decoder").raw().items()) {
      const AddedToken token =
          read_added(JsonObject(entry, path.string() + ": added_tokens_decoder " + printable(key)), 0);
      if (const auto known = added.find(token.text); known != added.end()) {
        AddedToken& mine = vocabulary.added[known->second];
        mine = {.text = mine.text,
                .id = mine.id,
                .special = mine.special || token.special,
                .lstrip = token.lstrip,
                .rstrip = token.rstrip};
      } else if (token.special) {
        make_special(token.text);
      }
    }
  }
  take_ids(json);
  if (json.has("chat_template") && json.at("chat_template").is_string())
    vocabulary.chat_template = json.string("chat_template");
}

void save_tokenizer_folder(const BpeVocabulary& vocabulary, const fs::path& folder) {
  Json vocab = Json::object();
  std::map<int32_t, std::string> spelling;
  for (const auto& [token, id] : vocabulary.tokens) {
    vocab[token] = id;
    spelling[id] = token;
  }
  Json merges = Json::array();
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(left + " " + right);
  Json added = Json::array();
  std::map<int32_t, const AddedToken*> by_id;
  for (const AddedToken& token : vocabulary.added) by_id[token.id] = &token;
  for (const auto& [id, token] : by_id) {
    spelling[id] = token->text;
    added.push_back({{"id", id},
                     {"content", token->text},
                     {"single_word", false},
                     {"lstrip", token->lstrip},
                     {"rstrip", token->rstrip},
                     {"normalized", false},
                     {"special", token->special}});
  }
  auto byte_level = [](bool use_regex) {
    return Json{
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
  };
  Json pre_tokenizer = byte_level(true);
  if (vocabulary.pattern == WordPattern::SmolLm) {
    pre_tokenizer = {
        {"type", "Sequence"},
        {"pretokenizers", {Json{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}}};
  } else if (vocabulary.pattern != WordPattern::Gpt2) {
    const Json split{{"type", "Split"},
                     {"pattern", {{"Regex", pattern_source(vocabulary.pattern)}}},
                     {"behavior", "Isolated"},
                     {"invert", false}};
    pre_tokenizer = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
  }
  const Json tokenizer{{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", added},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", pre_tokenizer},
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
                         {"vocab", vocab},
                         {"merges", merges}}}};
  Json special = Json::object();
  auto name = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) special[key] = spelling[*id];
  };
  name("bos_token", vocabulary.bos_id);
  name("eos_token", vocabulary.eos_id);
  name("pad_token", vocabulary.pad_id);
  Json config = special;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["clean_up_tokenization_spaces"] = false;
  if (!vocabulary.chat_template.empty()) config["chat_template"] = vocabulary.chat_template;
  fs::create_directories(folder);
  write_file_atomic(folder / "tokenizer.json", tokenizer.dump(1) + "\n");
  write_file_atomic(folder / "special_tokens_map.json", special.dump(2) + "\n");
  write_file_atomic(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace moellava
