// How a conversation is written down for a model: styles as data, rendered to pieces with images between
// them.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/tokenizer.hpp"

namespace moellava {

enum class Role { User, Assistant };

struct ImagePart {};
using Part = std::variant<std::string, ImagePart>;  // text typed by somebody, or a picture in its place

struct Turn {
  Role role = Role::User;
  std::vector<Part> parts;
};

struct Conversation {
  std::vector<Turn> turns;  // alternating, the user first
  std::string system;       // "" for the style's own
};

// Strings around the turns; `{system}` etc. are never searched for in user text.
struct ConversationStyle {
  std::string_view name;
  std::string_view system;                        // default system prompt, "" for none
  std::string_view system_prefix, system_suffix;  // written only when the system prompt is not empty
  std::string_view user_prefix, user_suffix;
  std::string_view assistant_prefix;  // before an answer: "ASSISTANT: "; begins with assistant_open
  std::string_view assistant_open;    // at the end of a prompt that waits for an answer: "ASSISTANT:"
  std::string_view assistant_suffix;  // ends an answer and is trained: "<|endoftext|>"
  std::string_view between_turns;     // after the answer's end, not trained: "\n" in ChatML
  std::string_view stop;              // text that ends generation
};

// "chatml", "plain" (stage 1), and Vicuna's way by how an answer ends: "v1", "mistral", "minicpm" (</s>),
// "openchat" (<|end_of_turn|>), "phi", "qwen", "stablelm" (<|endoftext|>).
const ConversationStyle& conversation_style(std::string_view name);
std::vector<std::string_view> conversation_style_names();

// Pieces between images: n images give n + 1 chunks, each tokenised by itself and joined by image markers.
struct RenderedConversation {
  std::vector<std::vector<TextPiece>> chunks;
};
// Every assistant turn is a target from behind assistant_open to the end of assistant_suffix; a last user
// turn gets assistant_open appended.
RenderedConversation render(const Conversation& conversation, const ConversationStyle& style);

constexpr int32_t kImageTokenId = -200;  // marks an image in ids, as in LLaVA
constexpr int32_t kIgnoreLabel = -100;

struct TokenisedConversation {
  std::vector<int32_t> ids;     // kImageTokenId where an image stands
  std::vector<int32_t> labels;  // ids where trained, kIgnoreLabel elsewhere
};
TokenisedConversation tokenise(const RenderedConversation& rendered, const Tokenizer& tokenizer);

// Splits on "<image>" markers, for text whose author may place images (LLaVA data, not chat input). Pictures
// stay where the text has them, as in the original ("Is it bright?\n<image>"); only the "plain" style of
// stage 1 leaves out the text around them.
std::vector<Part> split_image_markers(std::string_view text);

}  // namespace moellava
