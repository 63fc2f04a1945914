#include "text/conversation.hpp"

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr std::string_view kSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and "
    "polite answers to the user's questions.";
constexpr std::string_view kImageMarker = "<image>";

// The Vicuna style of the original; only the end of an answer differs between its families.
constexpr ConversationStyle vicuna(std::string_view name, std::string_view end) {
  return {.name = name,
          .system = kSystem,
          .system_prefix = "",
          .system_suffix = " ",
          .user_prefix = "USER: ",
          .user_suffix = " ",
          .assistant_prefix = "ASSISTANT: ",
          .assistant_open = "ASSISTANT:",
          .assistant_suffix = end,
          .between_turns = "",
          .stop = end};
}

constexpr ConversationStyle kStyles[] = {
    // As SmolLM2's template writes it, but without that template's default system prompt: prompts stay short.
    {.name = "chatml",
     .system = "",
     .system_prefix = "<|im_start|>system\n",
     .system_suffix = "<|im_end|>\n",
     .user_prefix = "<|im_start|>user\n",
     .user_suffix = "<|im_end|>\n",
     .assistant_prefix = "<|im_start|>assistant\n",
     .assistant_open = "<|im_start|>assistant\n",
     .assistant_suffix = "<|im_end|>",
     .between_turns = "\n",
     .stop = "<|im_end|>"},
    vicuna("v1", "</s>"),
    vicuna("mistral", "</s>"),
    vicuna("minicpm", "</s>"),
    vicuna("openchat", "<|end_of_turn|>"),
    vicuna("phi", "<|endoftext|>"),
    vicuna("qwen", "<|endoftext|>"),
    vicuna("stablelm", "<|endoftext|>"),
    // Stage 1: the picture, its caption, a newline.
    {.name = "plain",
     .system = "",
     .system_prefix = "",
     .system_suffix = "",
     .user_prefix = "",
     .user_suffix = "",
     .assistant_prefix = "",
     .assistant_open = "",
     .assistant_suffix = "\n",
     .between_turns = "",
     .stop = "\n"},
};

// Collects pieces; an image closes a chunk.
class Renderer {
 public:
  void trusted(std::string_view text, bool target = false) { add(text, true, target); }
  void part(const Part& part, bool target) {
    if (const auto* text = std::get_if<std::string>(&part)) {
      add(*text, false, target);
    } else {
      rendered_.chunks.emplace_back();
    }
  }
  RenderedConversation take() { return std::move(rendered_); }

 private:
  void add(std::string_view text, bool trusted, bool target) {
    if (!text.empty()) rendered_.chunks.back().push_back({std::string(text), trusted, target});
  }
  RenderedConversation rendered_{{{}}};
};

}  // namespace

const ConversationStyle& conversation_style(std::string_view name) {
  std::string known;
  for (const ConversationStyle& style : kStyles) {
    if (style.name == name) return style;
    known += (known.empty() ? "" : ", ") + std::string(style.name);
  }
  throw usage_error("conversation style", "unknown",
                    {.found = "\"" + printable(name) + "\"", .expected = "one of " + known});
}

std::vector<std::string_view> conversation_style_names() {
  std::vector<std::string_view> names;
  for (const ConversationStyle& style : kStyles) names.push_back(style.name);
  return names;
}

RenderedConversation render(const Conversation& conversation, const ConversationStyle& style) {
  Renderer renderer;
  const std::string_view own_system = conversation.system;
  const std::string_view system = own_system.empty() ? style.system : own_system;
  if (!system.empty()) {
    renderer.trusted(style.system_prefix);
    renderer.part(std::string(system), /*target=*/false);
    renderer.trusted(style.system_suffix);
  }
  for (size_t i = 0; i < conversation.turns.size(); ++i) {
    const Turn& turn = conversation.turns[i];
    const bool last = i + 1 == conversation.turns.size();
    const bool answer = turn.role == Role::Assistant;
    if (answer) {
      // What a model is to write behind an open prompt is trained, the space before its words too: with most
      // answers that is one token with their beginning, but not with all.
      renderer.trusted(style.assistant_open);
      renderer.trusted(style.assistant_prefix.substr(style.assistant_open.size()), /*target=*/true);
    } else {
      renderer.trusted(style.user_prefix);
    }
    for (const Part& part : turn.parts) renderer.part(part, /*target=*/answer);
    renderer.trusted(answer ? style.assistant_suffix : style.user_suffix, /*target=*/answer);
    if (answer && !last) renderer.trusted(style.between_turns);
    if (!answer && last) renderer.trusted(style.assistant_open);
  }
  return renderer.take();
}

TokenisedConversation tokenise(const RenderedConversation& rendered, const Tokenizer& tokenizer) {
  TokenisedConversation tokenised;
  if (tokenizer.adds_bos && tokenizer.bos_id) {
    tokenised.ids.push_back(*tokenizer.bos_id);
    tokenised.labels.push_back(kIgnoreLabel);
  }
  for (size_t i = 0; i < rendered.chunks.size(); ++i) {
    if (i > 0) {
      tokenised.ids.push_back(kImageTokenId);
      tokenised.labels.push_back(kIgnoreLabel);
    }
    const Encoding encoding = tokenizer.encode(rendered.chunks[i]);
    for (size_t t = 0; t < encoding.ids.size(); ++t) {
      tokenised.ids.push_back(encoding.ids[t]);
      tokenised.labels.push_back(encoding.target[t] ? encoding.ids[t] : kIgnoreLabel);
    }
  }
  return tokenised;
}

std::vector<Part> split_image_markers(std::string_view text) {
  std::vector<Part> parts;
  while (!text.empty()) {
    const size_t at = text.find(kImageMarker);
    if (at != 0) parts.emplace_back(std::string(text.substr(0, at)));
    if (at == std::string_view::npos) break;
    parts.emplace_back(ImagePart{});
    text.remove_prefix(at + kImageMarker.size());
  }
  return parts;
}

}  // namespace moellava
