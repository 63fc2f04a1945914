#include "generate/chat_session.hpp"

#include "base/error.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

constexpr int64_t kTokensPerPicture = 4;

ModelConfig chatml_config() {
  ModelConfig config = testing::tiny_config(/*sparse=*/true);
  config.conversation = "chatml";
  config.decoder.vocab_size = 259;
  config.decoder.max_positions = 512;
  return config;
}

// "|" marks the pictures.
std::string text_of(const Turn& turn) {
  std::string text;
  for (const Part& part : turn.parts)
    text += std::holds_alternative<ImagePart>(part) ? "|" : std::get<std::string>(part);
  return text;
}

TEST(UserTurn, PicturesStandBeforeTheWordsOrAtTheirMarkers) {
  EXPECT_EQ(text_of(user_turn("Why?", 0)), "Why?");
  EXPECT_EQ(text_of(user_turn("Why?", 2)), "|\n|\nWhy?");
  EXPECT_EQ(text_of(user_turn("In <image>\nand <image>, who?", 2)), "In |\nand |, who?");
  EXPECT_EQ(text_of(user_turn("And <image>?", 2)), "|\nAnd |?");
}

TEST(UserTurn, AMarkerWithoutAPictureIsAWord) {
  EXPECT_EQ(text_of(user_turn("What does <image> mean?", 0)), "What does <image> mean?");
  EXPECT_EQ(text_of(user_turn("<image><image>", 1)), "|<image>");
}

class ChatSessionTest : public ::testing::Test {
 protected:
  ChatSessionTest() { testing::fill_random(model_); }
  static at::Tensor picture(uint64_t number) {
    return random_tensor({1, kTokensPerPicture, 8}, 100 + number);
  }
  // The whole conversation so far, asked without a cache and without a session.
  std::string answer_to(const Conversation& conversation, const at::Tensor& features, int64_t count) const {
    GenerateRequest request;
    request.ids = prompt_ids(model_, *tokenizer_, conversation);
    request.features = features;
    request.max_new_tokens = count;
    request.stop_ids = stop_ids(model_, *tokenizer_);
    std::string text = Engine(model_, *tokenizer_).generate(request).text;
    text.erase(0, text.find_first_not_of(" \t\r\n"));
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  }

  MoeLlava model_{chatml_config()};
  std::unique_ptr<Tokenizer> tokenizer_ = testing::tiny_tokenizer();
};

TEST_F(ChatSessionTest, TurnsAndPicturesAddUp) {
  ChatSession session(model_, *tokenizer_, {.system = "Be brief.", .max_new_tokens = 6});
  Conversation conversation{.turns = {}, .system = "Be brief."};
  std::vector<at::Tensor> pictures;
  const std::vector<std::pair<std::string, size_t>> questions = {
      {"What?", 1}, {"And now?", 0}, {"Is <image> like it?", 1}};
  for (const auto& [text, count] : questions) {
    if (count > 0) {
      pictures.push_back(picture(pictures.size()));
      session.add_picture(pictures.back());
    }
    conversation.turns.push_back(user_turn(text, count));
    const std::string expected = answer_to(conversation, at::cat(pictures, 0), 6);
    std::string shown;
    const GenerateResult answer = session.ask(text, [&](std::string_view part) { shown += part; });
    EXPECT_EQ(answer.text, expected);
    EXPECT_EQ(shown, expected);
    conversation.turns.push_back({Role::Assistant, {expected}});
  }
  EXPECT_EQ(session.conversation().turns.size(), 6u);
}

TEST_F(ChatSessionTest, ASecondQuestionRunsNothingOfTheFirstAgain) {
  ChatSession session(model_, *tokenizer_, {.max_new_tokens = 1});
  session.add_picture(picture(0));
  const GenerateResult first = session.ask("What is shown in this picture?");
  EXPECT_EQ(first.reused_positions, 0);
  const GenerateResult second = session.ask("Why?");
  EXPECT_EQ(second.reused_positions, first.prompt_positions);
}

TEST_F(ChatSessionTest, ClearForgetsEverythingButTheSystemPrompt) {
  ChatSession session(model_, *tokenizer_, {.system = "Be brief.", .max_new_tokens = 6});
  const std::string fresh = session.ask("Why?").text;
  session.add_picture(picture(0));
  session.ask("What?");
  session.add_picture(picture(1));
  session.clear();
  EXPECT_TRUE(session.conversation().turns.empty());
  EXPECT_EQ(session.ask("Why?").text, fresh);
}

TEST_F(ChatSessionTest, WhatFailsLeavesTheConversationAsItWas) {
  ChatSession session(model_, *tokenizer_, {.max_new_tokens = 6});
  session.add_picture(picture(0));
  EXPECT_THROW(session.ask(std::string(600, 'w')), Error);
  EXPECT_TRUE(session.conversation().turns.empty());
  session.ask("What?");  // the picture still waits for it
  EXPECT_EQ(text_of(session.conversation().turns[0]), "|\nWhat?");
}

}  // namespace
}  // namespace moellava
