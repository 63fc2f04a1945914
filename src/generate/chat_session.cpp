#include "generate/chat_session.hpp"

#include <algorithm>

namespace moellava {

namespace {

// Passes text on as it grows, without the white space around all of it.
class Trimmer {
 public:
  // What can be shown now.
  std::string push(std::string_view part) {
    constexpr const char* kSpace = " \t\r\n";
    waiting_ += part;
    const size_t last = waiting_.find_last_not_of(kSpace);
    if (last == std::string::npos) return "";
    const size_t first = text_.empty() ? waiting_.find_first_not_of(kSpace) : 0;
    std::string ready = waiting_.substr(first, last + 1 - first);
    text_ += ready;
    waiting_.erase(0, last + 1);
    return ready;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string waiting_;  // white space that more text may follow
};

}  // namespace

Turn user_turn(std::string_view text, size_t pictures) {
  std::vector<Part> parts = split_image_markers(text);
  const auto markers = static_cast<size_t>(std::count_if(
      parts.begin(), parts.end(), [](const Part& part) { return std::holds_alternative<ImagePart>(part); }));
  size_t placed = std::min(markers, pictures);
  Turn turn{.role = Role::User, .parts = {}};
  for (size_t i = placed; i < pictures; ++i) {
    turn.parts.emplace_back(ImagePart{});
    turn.parts.emplace_back(std::string("\n"));
  }
  for (Part& part : parts) {
    const bool marker = std::holds_alternative<ImagePart>(part);
    if (marker && placed == 0) part = std::string("<image>");
    if (marker && placed > 0) --placed;
    turn.parts.push_back(std::move(part));
  }
  return turn;
}

ChatSession::ChatSession(const MoeLlava& model, const Tokenizer& tokenizer, ChatSettings settings)
    : model_(model), tokenizer_(tokenizer), settings_(std::move(settings)), engine_(model, tokenizer) {
  clear();
}

void ChatSession::add_picture(at::Tensor features) {
  features_.push_back(std::move(features));
  ++waiting_pictures_;
}

void ChatSession::clear() {
  conversation_ = {.turns = {}, .system = settings_.system};
  features_.clear();
  waiting_pictures_ = 0;
}

GenerateResult ChatSession::ask(std::string_view text, const std::function<void(std::string_view)>& on_text) {
  Conversation conversation = conversation_;
  conversation.turns.push_back(user_turn(text, waiting_pictures_));

  GenerateRequest request;
  request.ids = prompt_ids(model_, tokenizer_, conversation);
  if (!features_.empty()) request.features = at::cat(features_, 0);
  request.max_new_tokens = settings_.max_new_tokens;
  request.sampling = settings_.sampling;
  request.stop_ids = stop_ids(model_, tokenizer_);
  request.stop = stop_texts(model_, tokenizer_);
  request.moe = settings_.moe;
  request.on_routing = settings_.on_routing;
  Trimmer trimmer;
  GenerateResult answer = engine_.generate(request, [&](std::string_view part) {
    const std::string ready = trimmer.push(part);
    if (on_text && !ready.empty()) on_text(ready);
  });
  answer.text = trimmer.text();
  conversation.turns.push_back({.role = Role::Assistant, .parts = {answer.text}});
  conversation_ = std::move(conversation);
  waiting_pictures_ = 0;
  return answer;
}

}  // namespace moellava
