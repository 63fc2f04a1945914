#include "text/sentencepiece_tokenizer.hpp"

#include <sentencepiece_processor.h>

#include <cmath>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/strings.hpp"
#include "text/table_tokenizer.hpp"
#include "text/tokenizer_files.hpp"
#include "text/vocabulary_fields.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr size_t kLargestText = 1 << 28;  // bytes; SentencePiece counts in int

class SentencePieceTokenizer : public TableTokenizer {
 public:
  SentencePieceTokenizer(std::unique_ptr<sentencepiece::SentencePieceProcessor> processor,
                         std::vector<AddedToken> added);

  void save(const fs::path& folder) const override;

 protected:
  void encode_words(std::string_view words, const Emit& emit) const override;

 private:
  void add_pieces();
  void add_added_tokens();

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::vector<AddedToken> added_tokens_;
};

SentencePieceTokenizer::SentencePieceTokenizer(
    std::unique_ptr<sentencepiece::SentencePieceProcessor> processor, std::vector<AddedToken> added)
    : TableTokenizer(kLargestText), processor_(std::move(processor)), added_tokens_(std::move(added)) {
  add_pieces();
  add_added_tokens();
  adds_bos = true;
}

void SentencePieceTokenizer::add_pieces() {
  for (int id = 0; id < processor_->GetPieceSize(); ++id) {
    const std::string& piece = processor_->IdToPiece(id);
    id_by_spelling_.emplace(piece, id);
    special_.push_back(processor_->IsControl(id) || processor_->IsUnknown(id));
    if (processor_->IsByte(id)) {  // "<0x0A>"
      bytes_.emplace_back(1, static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16)));
    } else {
      bytes_.push_back(special_.back() ? piece : replace_all(piece, "\xe2\x96\x81", " "));
    }
  }
}

void SentencePieceTokenizer::add_added_tokens() {
  for (const AddedToken& token : added_tokens_) {
    const auto index = static_cast<size_t>(token.id);
    if (index >= bytes_.size()) {
      bytes_.resize(index + 1);
      special_.resize(index + 1);
    }
    bytes_[index] = token.text;
    special_[index] = token.special;
    id_by_spelling_[token.text] = token.id;
    added_.add(token);
  }
}

void SentencePieceTokenizer::encode_words(std::string_view words, const Emit& emit) const {
  const sentencepiece::ImmutableSentencePieceText cut = processor_->EncodeAsImmutableProto(words);
  for (size_t i = 0; i < cut.pieces_size(); ++i) {
    const auto part = cut.pieces(static_cast<int>(i));
    emit(static_cast<int32_t>(part.id()), part.begin(), part.end());
  }
}

void SentencePieceTokenizer::save(const fs::path& folder) const {
  Json decoder = Json::object();
  for (const AddedToken& token : added_tokens_) {
    decoder[std::to_string(token.id)] = {{"content", token.text},          {"single_word", false},
                                         {"lstrip", token.lstrip},         {"rstrip", token.rstrip},
                                         {"normalized", token.normalized}, {"special", token.special}};
  }
  const auto spelled = [&](const std::optional<int32_t>& id) {
    return id ? token_bytes(*id) : std::string();
  };
  fs::create_directories(folder);
  write_file_atomic(folder / "tokenizer.model", processor_->serialized_model_proto());
  write_tokenizer_config(folder,
                         {.bos = spelled(bos_id),
                          .eos = spelled(eos_id),
                          .pad = spelled(pad_id),
                          .chat_template = chat_template},
                         {{"tokenizer_class", "LlamaTokenizer"},
                          {"legacy", true},
                          {"add_bos_token", adds_bos},
                          {"add_eos_token", false},
                          {"added_tokens_decoder", decoder}});
}

std::unique_ptr<sentencepiece::SentencePieceProcessor> load_processor(std::string_view model,
                                                                      const std::string& where) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  std::string problem;
  try {
    const sentencepiece::util::Status status = processor->LoadFromSerializedProto(model);
    if (!status.ok()) problem = status.ToString();
  } catch (const std::exception& error) {  // a piece that begins with a zero byte
    problem = error.what();
  }
  if (!problem.empty()) throw bad_data(where, "not a SentencePiece model", {.found = printable(problem)});
  // Merges are ordered by score, and nothing has an order with what is not a number.
  for (int id = 0; id < processor->GetPieceSize(); ++id) {
    if (!std::isfinite(processor->GetScore(id)))
      throw bad_data(where, "score is not finite",
                     {.found = std::to_string(processor->GetScore(id)), .at = "id " + std::to_string(id)});
  }
  return processor;
}

// The pieces as a vocabulary, so that the files beside the model can be joined to it.
BpeVocabulary vocabulary_of(const sentencepiece::SentencePieceProcessor& processor) {
  BpeVocabulary vocabulary;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const std::string& piece = processor.IdToPiece(id);
    vocabulary.tokens.emplace_back(piece, id);
    if (processor.IsControl(id) || processor.IsUnknown(id))
      vocabulary.added.push_back({.text = piece, .id = id, .special = true});
  }
  if (processor.bos_id() >= 0) vocabulary.bos_id = processor.bos_id();
  if (processor.eos_id() >= 0) vocabulary.eos_id = processor.eos_id();
  if (processor.pad_id() >= 0) vocabulary.pad_id = processor.pad_id();
  return vocabulary;
}

std::unique_ptr<Tokenizer> make_tokenizer(std::unique_ptr<sentencepiece::SentencePieceProcessor> processor,
                                          BpeVocabulary vocabulary, const std::string& where) {
  for (const AddedToken& token : vocabulary.added)
    require_dense_ids(static_cast<size_t>(token.id), vocabulary.tokens.size() + vocabulary.added.size(),
                      where);
  auto tokenizer =
      std::make_unique<SentencePieceTokenizer>(std::move(processor), std::move(vocabulary.added));
  tokenizer->bos_id = vocabulary.bos_id;
  tokenizer->eos_id = vocabulary.eos_id;
  tokenizer->pad_id = vocabulary.pad_id;
  tokenizer->chat_template = std::move(vocabulary.chat_template);
  return tokenizer;
}

}  // namespace

std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view model, const std::string& where) {
  auto processor = load_processor(model, where);
  BpeVocabulary vocabulary = vocabulary_of(*processor);
  return make_tokenizer(std::move(processor), std::move(vocabulary), where);
}

std::unique_ptr<Tokenizer> open_sentencepiece(const fs::path& folder) {
  const fs::path path = folder / "tokenizer.model";
  auto processor = load_processor(read_file(path, kTokenizerFileLimits.bytes), path.string());
  BpeVocabulary vocabulary = vocabulary_of(*processor);
  read_added_tokens(folder, vocabulary);
  read_tokenizer_config(folder, vocabulary);
  auto tokenizer = make_tokenizer(std::move(processor), std::move(vocabulary), path.string());
  if (const fs::path config = folder / "tokenizer_config.json"; fs::exists(config)) {
    const Json json = read_json(config);
    tokenizer->adds_bos = JsonObject(json, config.string()).boolean_or("add_bos_token", true);
  }
  return tokenizer;
}

}  // namespace moellava
