// SentencePiece models (tokenizer.model) as Llama and Mistral use them.
#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer.hpp"

namespace moellava {

// tokenizer.model with the special and added tokens of added_tokens.json, tokenizer_config.json and
// special_tokens_map.json, where they are. As in Hugging Face's LlamaTokenizer with legacy behaviour, every
// stretch between special tokens begins a text of its own, with the model's leading space.
std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& folder);

// The same from the bytes of tokenizer.model alone. `where` names them in errors.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view model, const std::string& where);

}  // namespace moellava
