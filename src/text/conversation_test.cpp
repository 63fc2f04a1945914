#include "text/conversation.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and "
    "polite answers to the user's questions.";

std::string text_of(const RenderedConversation& rendered) {
  std::string text;
  for (size_t i = 0; i < rendered.chunks.size(); ++i) {
    if (i > 0) text += "<image>";
    for (const TextPiece& piece : rendered.chunks[i]) text += piece.text;
  }
  return text;
}

Conversation two_turns(bool answered) {
  Conversation conversation;
  conversation.turns = {
      {Role::User, split_image_markers("<image>\nQ1")}, {Role::Assistant, {"A1"}}, {Role::User, {"Q2"}}};
  if (answered) conversation.turns.push_back({Role::Assistant, {"A2"}});
  return conversation;
}

// The strings that the original's get_prompt() gives: a space after the system prompt and between the turns,
// the end of an answer directly before the next "USER".
TEST(Conversation, EveryStyleIsWrittenAsInTheOriginal) {
  const std::map<std::string, std::string> ends = {
      {"phi", "<|endoftext|>"}, {"qwen", "<|endoftext|>"}, {"stablelm", "<|endoftext|>"},  {"v1", "</s>"},
      {"mistral", "</s>"},      {"minicpm", "</s>"},       {"openchat", "<|end_of_turn|>"}};
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    const ConversationStyle& style = conversation_style(name);
    EXPECT_EQ(style.stop, end);
    const std::string first = std::string(kSystem) + " USER: <image>\nQ1 ASSISTANT:";
    const std::string second = first + " A1" + end + "USER: Q2 ASSISTANT:";
    Conversation conversation = two_turns(true);
    EXPECT_EQ(text_of(render(conversation, style)), second + " A2" + end);
    EXPECT_EQ(text_of(render(two_turns(false), style)), second);
    conversation.turns.resize(1);
    EXPECT_EQ(text_of(render(conversation, style)), first);
    conversation.turns = {{Role::User, {"Q"}}};
    conversation.system = "Be brief.";
    EXPECT_EQ(text_of(render(conversation, style)), "Be brief. USER: Q ASSISTANT:");
  }
}

TEST(Conversation, ChatMlIsWrittenAsInItsTemplate) {
  Conversation conversation = two_turns(false);
  conversation.system = "Be brief.";
  EXPECT_EQ(text_of(render(conversation, conversation_style("chatml"))),
            "<|im_start|>system\nBe "
            "brief.<|im_end|>\n<|im_start|>user\n<image>\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
            "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Conversation, NobodyCanTypeAPicture) {
  const Conversation conversation{.turns = {{Role::User, {"<image>"}}}, .system = ""};
  EXPECT_EQ(render(conversation, conversation_style("phi")).chunks.size(), 1u);
}

TEST(Conversation, NobodyCanTypeASpecialToken) {
  const auto tokenizer = testing::tiny_tokenizer();
  Conversation conversation;
  conversation.turns = {{Role::User, {"<|im_end|><|im_start|>"}}};
  const TokenisedConversation tokenised =
      tokenise(render(conversation, conversation_style("chatml")), *tokenizer);
  EXPECT_EQ(std::count(tokenised.ids.begin(), tokenised.ids.end(), *tokenizer->id_of("<|im_end|>")), 1);
  EXPECT_EQ(std::count(tokenised.ids.begin(), tokenised.ids.end(), *tokenizer->id_of("<|im_start|>")), 2);
}

TEST(Conversation, AnswersAndTheirEndsAreTrained) {
  const auto tokenizer = testing::tiny_tokenizer();
  const TokenisedConversation tokenised =
      tokenise(render(two_turns(true), conversation_style("chatml")), *tokenizer);
  std::vector<int32_t> trained;
  for (size_t i = 0; i < tokenised.labels.size(); ++i) {
    if (tokenised.labels[i] != kIgnoreLabel) trained.push_back(tokenised.labels[i]);
  }
  EXPECT_EQ(tokenizer->decode(trained, /*skip_special=*/false), "A1<|im_end|>A2<|im_end|>");
  EXPECT_EQ(std::count(tokenised.ids.begin(), tokenised.ids.end(), kImageTokenId), 1);
}

Conversation read_conversation(const Json& turns) {
  Conversation conversation;
  for (const Json& turn : turns) {
    const bool human = turn["from"] == "human";
    const std::string value = turn["value"];
    conversation.turns.push_back({human ? Role::User : Role::Assistant,
                                  human ? split_image_markers(value) : std::vector<Part>{value}});
  }
  return conversation;
}

struct TrainedFamily {
  std::string name, style;
};
const TrainedFamily kTrainedFamilies[] = {
    {"phi", "phi"}, {"qwen", "qwen"}, {"stablelm", "stablelm"}, {"llama", "v1"}};
const fs::path kGolden = fs::path(MOELLAVA_SOURCE_DIR) / "tests/golden";

// Ids and labels of the original's preprocess and collator.
TEST(Conversation, TrainingBatchesEqualTheOriginal) {
  const Json samples = read_json(kGolden / "train/samples.json");
  for (const TrainedFamily& family : kTrainedFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = open_tokenizer_folder(kGolden / family.name / "ckpt");
    const Json batch = read_json(kGolden / "train" / family.name / "batch.json");
    for (size_t i = 0; i < samples.size(); ++i) {
      const TokenisedConversation tokenised =
          tokenise(render(read_conversation(samples[i]["conversations"]), conversation_style(family.style)),
                   *tokenizer);
      auto ids = batch["input_ids"][i].get<std::vector<int32_t>>();
      auto labels = batch["labels"][i].get<std::vector<int32_t>>();
      const size_t length = tokenised.ids.size();
      ASSERT_LE(length, ids.size());
      for (size_t t = length; t < ids.size(); ++t) EXPECT_EQ(ids[t], batch["pad_token_id"].get<int32_t>());
      ids.resize(length);
      labels.resize(length);
      EXPECT_EQ(tokenised.ids, ids) << i;
      EXPECT_EQ(tokenised.labels, labels) << i;
    }
  }
}

// What the user says in the first turn of a prompt of the "phi" style, and the answers after it.
Conversation read_prompt(std::string prompt) {
  Conversation conversation;
  const std::string system = std::string(kSystem) + " USER: ";
  EXPECT_TRUE(prompt.starts_with(system));
  EXPECT_TRUE(prompt.ends_with(" ASSISTANT:"));
  prompt = prompt.substr(system.size(), prompt.size() - system.size() - std::string(" ASSISTANT:").size());
  for (size_t at; (at = prompt.find(" ASSISTANT: ")) != std::string::npos;) {
    const size_t end = prompt.find("<|endoftext|>USER: ");
    conversation.turns.push_back({Role::User, split_image_markers(prompt.substr(0, at))});
    conversation.turns.push_back({Role::Assistant, {prompt.substr(at + 12, end - at - 12)}});
    prompt = prompt.substr(end + 19);
  }
  conversation.turns.push_back({Role::User, split_image_markers(prompt)});
  return conversation;
}

TEST(Conversation, PhiPromptsEqualTheOriginal) {
  const fs::path folder = fs::path(MOELLAVA_SOURCE_DIR) / "tests/golden";
  const auto tokenizer = open_tokenizer_folder(folder / "phi/ckpt");
  const Json prompts = read_json(folder / "text/phi_prompts.json");
  ASSERT_EQ(prompts.size(), 5u);
  for (const Json& entry : prompts) {
    const RenderedConversation rendered = render(read_prompt(entry["prompt"]), conversation_style("phi"));
    EXPECT_EQ(text_of(rendered), entry["prompt"]);
    EXPECT_EQ(tokenise(rendered, *tokenizer).ids, entry["input_ids"].get<std::vector<int32_t>>());
  }
}

// The styles whose answers end otherwise.
TEST(Conversation, FamiliesEndTheirAnswersInTheirOwnWay) {
  for (const auto& [style, end] : {std::pair("openchat", "<|end_of_turn|>"), std::pair("mistral", "</s>"),
                                   std::pair("minicpm", "</s>"), std::pair("v1", "</s>")}) {
    EXPECT_EQ(
        text_of(render(two_turns(true), conversation_style(style))),
        std::string(kSystem) + " USER: <image>\nQ1 ASSISTANT: A1" + end + "USER: Q2 ASSISTANT: A2" + end);
    EXPECT_EQ(conversation_style(style).stop, end);
  }
}

// Ids and labels of preprocess_v1 with Hugging Face's LlamaTokenizer.
TEST(Conversation, LabelsWithABosEqualTheOriginal) {
  for (const auto& [family, style] : {std::pair("mistral", "openchat"), std::pair("minicpm", "minicpm")}) {
    const fs::path folder = fs::path(MOELLAVA_SOURCE_DIR) / "tests/golden" / family;
    const auto tokenizer = open_tokenizer_folder(folder / "ckpt");
    const Json samples = read_json(folder / "labels.json");
    ASSERT_EQ(samples.size(), 3u);
    for (const Json& sample : samples) {
      EXPECT_EQ(sample["system"], kSystem);
      Conversation conversation;
      for (const std::string turn : sample["turns"]) {
        const bool user = conversation.turns.size() % 2 == 0;
        conversation.turns.push_back({user ? Role::User : Role::Assistant, split_image_markers(turn)});
      }
      const TokenisedConversation tokenised =
          tokenise(render(conversation, conversation_style(style)), *tokenizer);
      EXPECT_EQ(tokenised.ids, sample["ids"].get<std::vector<int32_t>>()) << family << sample["turns"];
      EXPECT_EQ(tokenised.labels, sample["labels"].get<std::vector<int32_t>>()) << family << sample["turns"];
    }
  }
}

TEST(Conversation, PlainCaptionsEqualTheOriginal) {
  for (const TrainedFamily& family : kTrainedFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = open_tokenizer_folder(kGolden / family.name / "ckpt");
    for (const Json& entry : read_json(kGolden / "train" / family.name / "stage1_plain.json")) {
      Conversation conversation = read_conversation(entry["conversations"]);
      conversation.turns[0].parts = {ImagePart{}};
      const TokenisedConversation tokenised =
          tokenise(render(conversation, conversation_style("plain")), *tokenizer);
      EXPECT_EQ(tokenised.ids, entry["input_ids"].get<std::vector<int32_t>>());
      EXPECT_EQ(tokenised.labels, entry["labels"].get<std::vector<int32_t>>());
    }
  }
}

TEST(Conversation, ImageMarkersAreSplit) {
  const std::vector<Part> parts = split_image_markers("a<image><image>\nb");
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(std::get<std::string>(parts[0]), "a");
  EXPECT_TRUE(std::holds_alternative<ImagePart>(parts[1]));
  EXPECT_TRUE(std::holds_alternative<ImagePart>(parts[2]));
  EXPECT_EQ(std::get<std::string>(parts[3]), "\nb");
}

TEST(Conversation, UnknownStylesAreNamed) {
  EXPECT_THROW(conversation_style("vicuna_v9"), Error);
}

}  // namespace
}  // namespace moellava
