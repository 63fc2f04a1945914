// A conversation about pictures, question by question; every question runs only what is new in its prompt.
#pragma once

#include "generate/engine.hpp"

namespace moellava {

// What a user says about `pictures` pictures. A picture stands at an "<image>" of the text when there is one
// for it; the ones given first, when there are more, stand before the words, each on a line of its own. An
// "<image>" without a picture is a word like any other.
Turn user_turn(std::string_view text, size_t pictures);

struct ChatSettings {
  std::string system = {};  // "" for the style's own
  int64_t max_new_tokens = 512;
  SamplingOptions sampling = {};
  MoeRun moe = {};
  RoutingListener on_routing = {};  // as in GenerateRequest, question by question
};

class ChatSession {
 public:
  ChatSession(const MoeLlava& model, const Tokenizer& tokenizer, ChatSettings settings);

  // `features` [1, N, mm_hidden_size] of a picture that belongs to the next question.
  void add_picture(at::Tensor features);

  // The answer and its text, without the white space around it, which only separates it from its prompt;
  // `on_text` gets the text as it grows. When anything throws, the conversation is as it was before.
  GenerateResult ask(std::string_view text, const std::function<void(std::string_view)>& on_text = {});

  // Forgets what was said and shown.
  void clear();

  const Conversation& conversation() const { return conversation_; }

 private:
  const MoeLlava& model_;
  const Tokenizer& tokenizer_;
  ChatSettings settings_;
  Engine engine_;
  Conversation conversation_;
  std::vector<at::Tensor> features_;  // of all pictures
  size_t waiting_pictures_ = 0;       // the last of them, not yet part of a turn
};

}  // namespace moellava
