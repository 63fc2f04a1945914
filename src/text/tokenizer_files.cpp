#include "text/tokenizer_files.hpp"

#include <map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"
#include "text/vocabulary_fields.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// A token given by its text or as {"content": text}; "" when the field is null or not there.
std::string named_token(const JsonObject& json, std::string_view key) {
  if (!json.has(key)) return "";
  return json.at(key).is_object() ? json.object(key).string("content") : json.string(key);
}

// What tokenizer_config.json and special_tokens_map.json say, put into a vocabulary.
class ConfigReader {
 public:
  explicit ConfigReader(BpeVocabulary& vocabulary)
      : vocabulary_(vocabulary), ids_(vocabulary.tokens.begin(), vocabulary.tokens.end()) {
    for (size_t i = 0; i < vocabulary_.added.size(); ++i) {
      ids_[vocabulary_.added[i].text] = vocabulary_.added[i].id;
      added_[vocabulary_.added[i].text] = i;
    }
  }

  // "added_tokens_decoder": {"50256": {"content": ..., "special": ...}, ...}
  void add_tokens(const JsonObject& decoder) {
    for (const auto& [key, entry] : decoder.raw().items()) {
      const JsonObject json(entry, decoder.where() + ": " + printable(key));
      AddedToken token = read_added_token(json, id_of_key(key, json.where()));
      const auto known = added_.find(token.text);
      if (known == added_.end()) {
        add(std::move(token));
        continue;
      }
      AddedToken& mine = vocabulary_.added[known->second];
      if (mine.id != token.id)
        throw bad_data(json.where(), "another id than in the vocabulary",
                       {.found = std::to_string(token.id) + " for \"" + printable(token.text) + "\"",
                        .expected = std::to_string(mine.id)});
      token.special = token.special || mine.special;
      mine = std::move(token);
    }
  }

  void take_special_tokens(const JsonObject& json) {
    take(json, "bos_token", vocabulary_.bos_id);
    take(json, "eos_token", vocabulary_.eos_id);
    take(json, "pad_token", vocabulary_.pad_id);
    // Nothing writes an unknown token, so that one may be missing.
    if (const std::string token = named_token(json, "unk_token"); ids_.contains(token)) make_special(token);
  }

 private:
  static int64_t id_of_key(const std::string& key, const std::string& where) {
    const bool number = !key.empty() && key.size() <= 8 && key.find_first_not_of("0123456789") == key.npos;
    const int64_t id = number ? std::stoll(key) : -1;
    if (id < 0 || id > kLargestTokenId)
      throw bad_data(
          where, "token id out of range",
          {.found = "\"" + printable(key) + "\"", .expected = "0 to " + std::to_string(kLargestTokenId)});
    return id;
  }

  void add(AddedToken token) {
    added_[token.text] = vocabulary_.added.size();
    ids_.emplace(token.text, token.id);
    vocabulary_.added.push_back(std::move(token));
  }

  void make_special(const std::string& token) {
    const auto known = added_.find(token);
    if (known != added_.end()) {
      vocabulary_.added[known->second].special = true;
    } else {
      add({.text = token, .id = ids_.at(token), .special = true});
    }
  }

  void take(const JsonObject& json, std::string_view key, std::optional<int32_t>& id) {
    const std::string token = named_token(json, key);
    if (token.empty()) return;
    if (!ids_.contains(token))
      throw bad_data(json.where() + ": " + std::string(key), "not in the vocabulary",
                     {.found = "\"" + printable(token) + "\""});
    id = ids_.at(token);
    make_special(token);
  }

  BpeVocabulary& vocabulary_;
  std::map<std::string, int32_t> ids_;
  std::map<std::string, size_t> added_;  // index in vocabulary_.added
};

// vocab.json with merges.txt does not say how words are cut; the class of the tokenizer does.
void require_gpt2_class(const JsonObject& config) {
  const std::string name = config.string_or("tokenizer_class", "GPT2Tokenizer");
  for (const char* known :
       {"GPT2Tokenizer", "GPT2TokenizerFast", "CodeGenTokenizer", "CodeGenTokenizerFast"}) {
    if (name != known) continue;
    if (config.boolean_or("add_prefix_space", false))
      throw bad_data(config.where() + ": add_prefix_space", "not supported", {.expected = "false"});
    return;
  }
  throw bad_data(config.where() + ": tokenizer_class", "unsupported for vocab.json with merges.txt",
                 {.found = "\"" + printable(name) + "\"",
                  .expected = "GPT2Tokenizer or CodeGenTokenizer",
                  .hint = "a tokenizer.json beside them would say how words are cut"});
}

}  // namespace

void read_added_tokens(const fs::path& folder, BpeVocabulary& vocabulary) {
  const fs::path path = folder / "added_tokens.json";
  if (!fs::exists(path)) return;
  for (const auto& [token, id] : read_vocab(read_json(path, kTokenizerFileLimits), path.string()))
    vocabulary.added.push_back({.text = token, .id = id, .normalized = true});
}

BpeVocabulary read_vocab_and_merges(const fs::path& folder) {
  BpeVocabulary vocabulary;
  const std::string vocab_path = (folder / "vocab.json").string();
  vocabulary.tokens = read_vocab(read_json(vocab_path, kTokenizerFileLimits), vocab_path);
  const std::string merges_path = (folder / "merges.txt").string();
  const std::string merges = read_file(merges_path, kTokenizerFileLimits.bytes);
  for (size_t begin = 0; begin < merges.size();) {
    const size_t end = std::min(merges.find('\n', begin), merges.size());
    std::string_view line = std::string_view(merges).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool heading = begin == 0 && line.starts_with("#version");
    if (!line.empty() && !heading) vocabulary.merges.push_back(split_merge(line, merges_path));
    begin = end + 1;
  }
  read_added_tokens(folder, vocabulary);
  if (const fs::path path = folder / "tokenizer_config.json"; fs::exists(path)) {
    const Json config = read_json(path);
    require_gpt2_class(JsonObject(config, path.string()));
  }
  return vocabulary;
}

void read_tokenizer_config(const fs::path& folder, BpeVocabulary& vocabulary) {
  ConfigReader reader(vocabulary);
  const fs::path path = folder / "tokenizer_config.json";
  const Json config = fs::exists(path) ? read_json(path) : Json::object();
  const JsonObject json(config, path.string());
  if (json.has("added_tokens_decoder")) reader.add_tokens(json.object("added_tokens_decoder"));
  if (const fs::path map = folder / "special_tokens_map.json"; fs::exists(map)) {
    const Json document = read_json(map);
    reader.take_special_tokens(JsonObject(document, map.string()));
  }
  reader.take_special_tokens(json);
  if (json.has("chat_template") && json.at("chat_template").is_string())
    vocabulary.chat_template = json.string("chat_template");
}

void save_tokenizer_folder(const BpeVocabulary& vocabulary, const fs::path& folder) {
  std::map<int32_t, std::string> spelling;
  for (const auto& [token, id] : vocabulary.tokens) spelling[id] = token;
  for (const AddedToken& token : vocabulary.added) spelling[token.id] = token.text;
  const auto spelled = [&](const std::optional<int32_t>& id) { return id ? spelling[*id] : std::string(); };
  fs::create_directories(folder);
  write_file_atomic(folder / "tokenizer.json", tokenizer_json(vocabulary));
  write_tokenizer_config(folder,
                         {.bos = spelled(vocabulary.bos_id),
                          .eos = spelled(vocabulary.eos_id),
                          .pad = spelled(vocabulary.pad_id),
                          .chat_template = vocabulary.chat_template},
                         {{"tokenizer_class", "PreTrainedTokenizerFast"}});
}

void write_tokenizer_config(const fs::path& folder, const TokenizerNames& names, Json config) {
  Json special = Json::object();
  const auto name = [&](const char* key, const std::string& token) {
    if (!token.empty()) special[key] = token;
  };
  name("bos_token", names.bos);
  name("eos_token", names.eos);
  name("pad_token", names.pad);
  config.update(special);
  config["clean_up_tokenization_spaces"] = false;
  if (!names.chat_template.empty()) config["chat_template"] = names.chat_template;
  write_file_atomic(folder / "special_tokens_map.json", special.dump(2) + "\n");
  write_file_atomic(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace moellava
