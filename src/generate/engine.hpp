// Ids in, tokens out, for one request after the other. T positions (visual tokens included), V vocabulary, M
// pictures, N visual tokens of one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "generate/request.hpp"
#include "text/conversation.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

class Engine {
 public:
  Engine(const MoeLlava& model, const Tokenizer& tokenizer) : model_(model), tokenizer_(tokenizer) {}

  // `on_text` gets the answer as it grows, never half a UTF-8 character and never the beginning of a stop
  // text. The key-value cache of the common beginning of two requests in a row is kept, unless their routers
  // choose differently or the MoE layers of either could drop tokens: then what a token gets depends on its
  // neighbours. Throws BadData when the
  // prompt is empty, exceeds the context, or has more or fewer picture marks than pictures.
  GenerateResult generate(const GenerateRequest& request,
                          const std::function<void(std::string_view)>& on_text = {});

 private:
  struct Cached {
    std::vector<int32_t> ids;
    at::Tensor features;
    MoeRun moe;
    KvCache cache;
  };
  int64_t reusable_positions(const GenerateRequest& request, int64_t prompt_positions) const;
  void reserve(int64_t positions, int64_t kept);

  const MoeLlava& model_;
  const Tokenizer& tokenizer_;
  Cached last_;
};

// One pass over a whole prompt, with everything in it; `hidden` as in DecoderRun.
struct ForwardResult {
  at::Tensor logits;             // [T, V]
  std::vector<Routing> routing;  // [L]
  std::vector<bool> is_image;    // [T]
};
ForwardResult forward_prompt(const MoeLlava& model, const std::vector<int32_t>& ids,
                             const at::Tensor& features, const MoeRun& moe = {},
                             std::vector<at::Tensor>* hidden = nullptr);

// The prompt of a conversation in the style of the model.
std::vector<int32_t> prompt_ids(const MoeLlava& model, const Tokenizer& tokenizer,
                                const Conversation& conversation);
// What ends an answer: the ids that the model's files name, and the mark of its style as an id, or as a text
// where that is not one id of the tokenizer; and the texts of the several ids in a row that the files name.
std::vector<int32_t> stop_ids(const MoeLlava& model, const Tokenizer& tokenizer);
std::vector<std::string> stop_texts(const MoeLlava& model, const Tokenizer& tokenizer);

// A picture file as the tower takes it: [1, 3, S, S].
at::Tensor load_pixels(const MoeLlava& model, const std::filesystem::path& path, bool apply_exif = true);
at::Tensor pixels_of(const MoeLlava& model, const Image& image);

}  // namespace moellava
