#include "model/config.hpp"

#include <unistd.h>

#include <fstream>

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/model_folder.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

const char* const kLlamaConfig = R"({
  "model_type": "moe_llava_llama", "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 4,
  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "rms_norm_eps": 1e-5,
  "mm_image_tower": "openai/clip-vit-large-patch14-336", "image_projector_type": "mlp2x_gelu",
  "image_aspect_ratio": "pad", "eos_token_id": 2,
  "moe": {"moe_enable": true, "moe_mode": "sparse", "moe_layers_idx": [0, 2], "num_experts": [4], "top_k_experts": 2,
          "capacity_factor": 1.5, "eval_capacity_factor": 2.0, "min_capacity": 0}
})";

// Writes config.json into a fresh folder and reads it.
ModelConfig read_text(const std::string& text) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("config_test_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << text;
  return read_model_config(folder);
}

TEST(ModelConfig, ReadsThePublishedFields) {
  const ModelConfig config = read_text(kLlamaConfig);
  EXPECT_EQ(config.family, "llama");
  EXPECT_EQ(config.decoder.head_dim(), 16);
  EXPECT_EQ(config.decoder.kv_heads, 2);
  EXPECT_EQ(config.moe.layers, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(config.moe.experts, (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(config.moe.capacity_factor, 1.5);
  ASSERT_TRUE(config.vision);
  EXPECT_EQ(config.vision->tokens(), 576);
  EXPECT_EQ(config.preprocess.aspect_ratio, AspectRatio::Pad);
  EXPECT_EQ(config.conversation, "v1");
  EXPECT_EQ(config.eos_id, 2);
}

TEST(ModelConfig, MoeModesChooseLayers) {
  EXPECT_EQ(moe_layers_of_mode("sparse", 5), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(moe_layers_of_mode("first_half", 5), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(moe_layers_of_mode("second_half", 5), (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(moe_layers_of_mode("dense", 3), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_THROW(moe_layers_of_mode("interval", 4), Error);
}

// kLlamaConfig under another model_type, with more fields.
ModelConfig read_as(const std::string& model_type, const Json& more = Json::object()) {
  Json json = Json::parse(kLlamaConfig);
  json["model_type"] = model_type;
  json.update(more);
  return read_text(json.dump());
}

TEST(ModelConfig, FamiliesAreKnownByTheirModelTypes) {
  EXPECT_EQ(read_as("mistral").family, "mistral");
  EXPECT_EQ(read_as("llava_mistral").conversation, "mistral");
  for (const char* name : {"qwen2", "llava_qwen2", "llava_qwen1_5", "moe_llava_qwen1_5"}) {
    EXPECT_EQ(read_as(name).family, "qwen2");
    EXPECT_TRUE(read_as(name).decoder.qkv_bias);
    EXPECT_FALSE(read_as(name).decoder.out_bias);
  }
  EXPECT_EQ(read_as("moe_llava_minicpm").conversation, "minicpm");
  EXPECT_EQ(kQwen2.model_type(LlavaKind::Moe), "moe_llava_qwen1_5");
  EXPECT_EQ(kQwen2.architecture(LlavaKind::Dense), "LlavaQwen1_5ForCausalLM");
  EXPECT_EQ(kQwen2.architecture(LlavaKind::TextOnly), "Qwen2ForCausalLM");
  EXPECT_EQ(kPhi.model_type(LlavaKind::Dense), "llava_phi");
  EXPECT_EQ(kPhi.architecture(LlavaKind::Moe), "MoELLaVAPhiForCausalLM");
}

TEST(ModelConfig, AWindowCountsOnlyWhenItIsShorterThanThePositions) {
  EXPECT_EQ(read_as("mistral", {{"max_position_embeddings", 8192}}).decoder.attention_window, 4096);
  EXPECT_EQ(read_as("mistral", {{"max_position_embeddings", 8192}, {"sliding_window", 100}})
                .decoder.attention_window,
            100);
  EXPECT_EQ(read_as("mistral", {{"max_position_embeddings", 8192}, {"sliding_window", nullptr}})
                .decoder.attention_window,
            0);
  EXPECT_EQ(read_as("mistral", {{"max_position_embeddings", 4096}}).decoder.attention_window, 0);
  EXPECT_THROW(read_as("qwen2", {{"use_sliding_window", true}}), Error);
  EXPECT_THROW(read_as("mistral", {{"head_dim", 32}}), Error);
}

TEST(ModelConfig, QwenKnowsItsNativeLength) {
  const DecoderConfig qwen = read_as("moe_llava_qwen", {{"seq_length", 4096}}).decoder;
  EXPECT_EQ(qwen.dynamic_ntk_length, 4096);
  EXPECT_EQ(qwen.logn_length, 4096);
  EXPECT_EQ(read_as("qwen", {{"use_dynamic_ntk", false}}).decoder.dynamic_ntk_length, 0);
}

TEST(ModelConfig, DropoutIsReadAsEachFamilySpellsIt) {
  const DecoderConfig phi =
      read_as("moe_llava_phi", {{"resid_pdrop", 0.1}, {"embd_pdrop", 0.2}, {"attention_dropout", 0.3}})
          .decoder;
  EXPECT_EQ(phi.residual_dropout, 0.1);
  EXPECT_EQ(phi.embedding_dropout, 0.2);
  EXPECT_EQ(phi.attention_dropout, 0.3);
  EXPECT_EQ(read_as("phi").decoder.residual_dropout, 0);
  const DecoderConfig qwen = read_as("qwen", {{"emb_dropout_prob", 0.2}, {"attn_dropout_prob", 0.3}}).decoder;
  EXPECT_EQ(qwen.embedding_dropout, 0.2);
  EXPECT_EQ(qwen.attention_dropout, 0.3);
  for (const double share : {1.0, -0.1})
    EXPECT_THROW(read_as("phi", {{"resid_pdrop", share}}), Error) << share;
}

TEST(ModelConfig, MiniCpmScalesWordsOnlyWhereItsTrainingDid) {
  const Json scales = {{"scale_emb", 12}, {"scale_depth", 1.4}, {"dim_model_base", 16}};
  const DecoderConfig plain = read_as("minicpm", scales).decoder;
  EXPECT_EQ(plain.embedding_scale, 12);
  EXPECT_DOUBLE_EQ(plain.residual_scale, 0.7);  // 4 layers
  EXPECT_DOUBLE_EQ(plain.logit_scale, 0.25);    // width 64
  EXPECT_TRUE(plain.tie_embeddings);
  EXPECT_EQ(read_as("moe_llava_minicpm", scales).decoder.embedding_scale, 1);
  // A MiniCPM that gained sight here keeps its scale.
  Json written = scales;
  kMiniCpm.write(plain, written);
  EXPECT_EQ(read_as("llava_minicpm", written).decoder.embedding_scale, 12);
  EXPECT_THROW(read_as("minicpm", {{"scale_depth", 0}}), Error);
}

TEST(ModelConfig, UnknownFieldsAreNotedOnly) {
  std::string text = kLlamaConfig;
  text.insert(1, R"("auto_map": {"AutoModel": "evil.py--Model"}, "trust_remote_code": true, "xyz": [1],)");
  const ModelConfig config = read_text(text);
  EXPECT_EQ(config.decoder.vocab_size, 100);
  EXPECT_EQ(config.unread_fields, (std::vector<std::string>{"auto_map", "trust_remote_code", "xyz"}));
}

TEST(ModelConfig, PaddingStandsWhereTheTokenizerPutsIt) {
  EXPECT_EQ(read_as("llava_phi").padding, PaddingSide::Right);
  EXPECT_EQ(read_as("llava_phi", {{"tokenizer_padding_side", "left"}}).padding, PaddingSide::Left);
}

// A folder of config.json, of this family, and other files.
ModelConfig read_folder(const Json& more, const std::map<std::string, std::string>& files) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("config_files_test_" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  Json json = Json::parse(kLlamaConfig);
  json.update(more);
  std::ofstream(folder / "config.json") << json.dump();
  for (const auto& [name, content] : files) std::ofstream(folder / name) << content;
  return read_model_config(folder);
}

// As published: nothing but a token for the end of an answer tells OpenChat from other Mistrals.
TEST(ModelConfig, OpenChatIsKnownByTheEndOfItsAnswers) {
  const Json mistral = {{"model_type", "moe_llava_mistral"}};
  const std::pair<std::string, std::string> tokens[] = {
      {"added_tokens.json", R"({"<|end_of_turn|>": 90, "<|pad_0|>": 91})"},
      {"special_tokens_map.json", R"({"eos_token": {"content": "<|end_of_turn|>"}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"90": {"content": "<|end_of_turn|>"}}})"}};
  for (const auto& file : tokens) {
    EXPECT_EQ(read_folder(mistral, {file}).conversation, "openchat") << file.first;
    EXPECT_EQ(read_folder({{"model_type", "moe_llava_llama"}}, {file}).conversation, "v1") << file.first;
  }
  EXPECT_EQ(read_folder(mistral, {{"added_tokens.json", R"({"<|im_end|>": 90})"}}).conversation, "mistral");
  EXPECT_EQ(read_folder({{"model_type", "moe_llava_mistral"}, {"conv_version", "mistral"}}, {tokens[0]})
                .conversation,
            "mistral");
}

TEST(ModelConfig, APublishedOpenChatFolderHasItsStyle) {
  EXPECT_EQ(read_model_config(testing::golden("mistral/ckpt")).conversation, "openchat");
}

TEST(ModelConfig, QwensGenerationConfigIsObeyed) {
  Json text_only = {{"model_type", "qwen"}, {"mm_image_tower", nullptr}, {"moe", nullptr}};
  const auto generation = [](const std::string& text) {
    return std::map<std::string, std::string>{{"generation_config.json", text}};
  };
  EXPECT_EQ(read_folder(text_only, generation(R"({"chat_format": "chatml"})")).conversation, "chatml");
  EXPECT_EQ(read_folder(text_only, generation(R"({"chat_format": "raw"})")).conversation, "qwen");
  EXPECT_EQ(read_folder({{"model_type", "moe_llava_qwen"}}, generation(R"({"chat_format": "chatml"})"))
                .conversation,
            "qwen");
  const ModelConfig config =
      read_folder(text_only, generation(R"({"eos_token_id": 3, "stop_words_ids": [[3], [4], [5, 6]]})"));
  EXPECT_EQ(config.stop_ids, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(config.stop_words, (std::vector<std::vector<int64_t>>{{5, 6}}));
  for (const char* words : {"[3]", "[[]]", "[[100]]", "[[-1]]", "{}", "[[\"a\"]]"}) {
    EXPECT_THROW(read_folder(text_only, generation(std::string(R"({"stop_words_ids": )") + words + "}")),
                 Error)
        << words;
  }
}

TEST(ModelConfig, SeveralIdsMayEndAText) {
  std::string text = kLlamaConfig;
  text.replace(text.find("\"eos_token_id\": 2"), 17, "\"eos_token_id\": [2, 7]");
  const ModelConfig config = read_text(text);
  EXPECT_EQ(config.eos_id, 2);
  EXPECT_EQ(config.stop_ids, (std::vector<int64_t>{2, 7}));
}

TEST(ModelConfig, GenerationConfigNamesWhatEndsATextAndFillsInTheRest) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("generation_config_test_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string text = kLlamaConfig;
  text.insert(1, R"("pad_token_id": 5,)");
  std::ofstream(folder / "config.json") << text;
  std::ofstream(folder / "generation_config.json")
      << R"({"eos_token_id": [3, 4], "bos_token_id": 1, "pad_token_id": 6})";
  const ModelConfig config = read_model_config(folder);
  EXPECT_EQ(config.stop_ids, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(config.eos_id, 3);
  EXPECT_EQ(config.bos_id, 1);
  EXPECT_EQ(config.pad_id, 5);
}

// One field of a preprocessor_config.json replaced; "" when that is accepted.
std::string preprocessing_error(const std::string& field, const Json& value) {
  Json json = Json::parse(R"({"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56},
      "do_center_crop": true, "do_resize": true, "do_rescale": true, "do_normalize": true, "resample": 3,
      "rescale_factor": 0.00392156862745098, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})");
  json[field] = value;
  try {
    read_preprocess_config(JsonObject(json, "p.json"));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PreprocessConfig, WhatWouldChangeThePixelsIsRefused) {
  EXPECT_EQ(preprocessing_error("crop_size", 56), "");
  EXPECT_EQ(preprocessing_error("do_convert_rgb", true), "");
  EXPECT_EQ(preprocessing_error("resample", nullptr), "");
  const std::pair<std::string, Json> cases[] = {{"do_resize", false},
                                                {"do_rescale", false},
                                                {"do_normalize", false},
                                                {"resample", 2},
                                                {"rescale_factor", 1},
                                                {"crop_size", 48},
                                                {"crop_size", {{"height", 56}, {"width", 48}}},
                                                {"size", {{"height", 56}, {"width", 48}}},
                                                {"size", 0},
                                                {"size", Json::object()},
                                                {"image_mean", {0.5, 0.5}},
                                                {"image_std", {1, 0, 1}}};
  for (const auto& [field, value] : cases) {
    const std::string message = preprocessing_error(field, value);
    EXPECT_NE(message.find("p.json: " + field), std::string::npos) << field << ": " << message;
  }
}

struct BadConfig {
  const char* name;
  const char* from;  // replaced in kLlamaConfig
  const char* to;
  const char* message;  // part of the error
};

class BadConfigs : public ::testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigs, GivesAOneLineError) {
  std::string text = kLlamaConfig;
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string(GetParam().from).size(), GetParam().to);
  try {
    read_text(text);
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::BadData);
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    EXPECT_NE(message.find("config.json"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_LE(message.size(), 400u);
  }
}

INSTANTIATE_TEST_SUITE_P(
    C2, BadConfigs,
    ::testing::Values(
        BadConfig{"trailing_comma", "\"eos_token_id\": 2,", "\"eos_token_id\": 2,,", "not valid JSON"},
        BadConfig{"nan", "1e-5", "NaN", "not valid JSON"},
        BadConfig{"duplicate", "\"vocab_size\": 100", "\"hidden_size\": 64", "duplicate key"},
        BadConfig{"missing", "\"vocab_size\": 100, ", "", "vocab_size: missing"},
        BadConfig{"string_number", "\"hidden_size\": 64", "\"hidden_size\": \"64\"",
                  "hidden_size: wrong type"},
        BadConfig{"huge_width", "\"hidden_size\": 64", "\"hidden_size\": 1000000000", "hidden_size"},
        BadConfig{"padding", "\"eos_token_id\": 2", "\"tokenizer_padding_side\": \"middle\"",
                  "tokenizer_padding_side: unknown: found \"middle\", expected right or left"},
        BadConfig{"fraction", "\"hidden_size\": 64", "\"hidden_size\": 64.5", "hidden_size: wrong type"},
        BadConfig{"boolean", "\"hidden_size\": 64", "\"hidden_size\": true", "hidden_size: wrong type"},
        BadConfig{"negative", "\"hidden_size\": 64", "\"hidden_size\": -64", "hidden_size"},
        BadConfig{"no_heads", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0",
                  "num_attention_heads"},
        BadConfig{"heads", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "a multiple of"},
        BadConfig{"kv_heads", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "a divisor of"},
        BadConfig{"huge_vocab", "\"vocab_size\": 100", "\"vocab_size\": 2147483648", "vocab_size"},
        BadConfig{"many_layers", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 1000000000",
                  "num_hidden_layers"},
        BadConfig{"model_type", "moe_llava_llama", "moe_llava_gpt9", "unknown model_type"},
        BadConfig{"llava_next", "moe_llava_llama", "llava_next", "unknown model_type"},
        BadConfig{"im_start_end", "\"eos_token_id\": 2", "\"mm_use_im_start_end\": true",
                  "mm_use_im_start_end"},
        BadConfig{"scaling", "\"eos_token_id\": 2", "\"rope_scaling\": {\"type\": \"x\"}", "rope_scaling"},
        BadConfig{"activation", "\"eos_token_id\": 2", "\"hidden_act\": \"relu9\"", "hidden_act"},
        BadConfig{"norm", "1e-5", "0", "epsilon of the norms"},
        BadConfig{"negative_norm", "1e-5", "-1e-5", "epsilon of the norms"},
        BadConfig{"huge_theta", "\"eos_token_id\": 2", "\"rope_theta\": 1e308", "rope_theta"},
        BadConfig{"tower_width", "\"eos_token_id\": 2", "\"mm_hidden_size\": 1152",
                  "differs from the vision tower"},
        BadConfig{"projector", "mlp2x_gelu", "qformer2_64", "projector not supported"},
        BadConfig{"anyres", "\"pad\"", "\"anyres\"", "image_aspect_ratio"},
        BadConfig{"eos_list", "\"eos_token_id\": 2", "\"eos_token_id\": [2, 100]", "eos_token_id"},
        BadConfig{"theta", "\"eos_token_id\": 2", "\"rope_theta\": 0", "rope_theta"},
        BadConfig{"eos", "\"eos_token_id\": 2", "\"eos_token_id\": 100", "eos_token_id"},
        BadConfig{"top_k", "\"top_k_experts\": 2", "\"top_k_experts\": 5", "top_k_experts"},
        BadConfig{"layer_index", "[0, 2]", "[0, 4]", "moe_layers_idx"},
        BadConfig{"layer_order", "[0, 2]", "[2, 0]", "ascending"},
        BadConfig{"expert_count", "[4]", "[4, 4, 4]", "num_experts"},
        BadConfig{"capacity", "\"capacity_factor\": 1.5", "\"capacity_factor\": 0", "capacity_factor"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(VisionConfig, OnlySiglipLeavesTheRestOfAPictureOut) {
  Json json = {{"hidden_size", 48}, {"num_attention_heads", 4}, {"image_size", 50}, {"patch_size", 14}};
  EXPECT_THROW(read_vision_transformer(JsonObject(json, "c"), TowerKind::Clip), Error);
  const VisionConfig siglip = read_vision_transformer(JsonObject(json, "c"), TowerKind::Siglip);
  EXPECT_EQ(siglip.tokens(), 8);
  EXPECT_EQ(siglip.norm_eps, 1e-6);
  EXPECT_EQ(siglip.activation, Activation::GeluTanh);
  json["image_size"] = 27;
  EXPECT_THROW(read_vision_transformer(JsonObject(json, "c"), TowerKind::Siglip), Error);
  json["model_type"] = "dinov2";
  EXPECT_THROW(read_vision_transformer(JsonObject(json, "c"), TowerKind::Siglip), Error);
}

TEST(VisionConfig, PublishedTowersAreKnownByName) {
  const ModelConfig siglip = read_as("llava_phi", {{"mm_image_tower", "google/siglip-so400m-patch14-384"}});
  ASSERT_TRUE(siglip.vision);
  EXPECT_EQ(siglip.vision->kind, TowerKind::Siglip);
  EXPECT_EQ(siglip.vision->hidden_size, 1152);
  EXPECT_EQ(siglip.vision->layers, 27);
  EXPECT_EQ(siglip.vision->intermediate_size, 4304);
  EXPECT_EQ(siglip.vision->tokens(), 728);  // "patch" drops a real one of 27 x 27
  EXPECT_EQ(siglip.preprocess.size, 384);
  EXPECT_FALSE(siglip.preprocess.resize_shortest_edge);
  EXPECT_FALSE(siglip.preprocess.center_crop);
  EXPECT_EQ(siglip.preprocess.mean, (std::array<float, 3>{0.5f, 0.5f, 0.5f}));
  const ModelConfig all = read_as("llava_phi", {{"mm_image_tower", "google/siglip-so400m-patch14-384"},
                                                {"mm_vision_select_feature", "cls_patch"}});
  EXPECT_EQ(all.vision->tokens(), 729);
  const ModelConfig clip = read_as("llava_phi", {{"mm_image_tower", "openai/clip-vit-large-patch14"}});
  EXPECT_EQ(clip.vision->tokens(), 256);
  EXPECT_EQ(clip.preprocess.size, 224);
  EXPECT_TRUE(clip.preprocess.center_crop);
  const ModelConfig unknown = read_as("llava_phi", {{"mm_image_tower", "google/siglip-unheard-of"}});
  EXPECT_FALSE(unknown.vision->geometry_known);
  EXPECT_EQ(unknown.vision->kind, TowerKind::Siglip);
}

}  // namespace
}  // namespace moellava
