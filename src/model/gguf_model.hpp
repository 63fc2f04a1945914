// A language model in a GGUF file: its config and names in our terms.
#pragma once

#include "files/gguf.hpp"
#include "model/weights.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

// Text only, family llama (the form of SmolLM2); other architectures are refused by name.
ModelConfig gguf_model_config(const GgufFile& file);
WeightRef gguf_weight(const std::string& parameter, const DecoderConfig& config);
std::unique_ptr<Tokenizer> gguf_tokenizer(const GgufFile& file);

}  // namespace moellava
