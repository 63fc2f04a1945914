#include "model/adapter_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

const Json kGood = {{"peft_type", "LORA"}, {"r", 4},
                    {"lora_alpha", 8},     {"lora_dropout", 0.1},
                    {"bias", "none"},      {"target_modules", {"q_proj", "mlp.up_proj"}},
                    {"use_dora", false},   {"revision", nullptr}};

class AdapterConfigTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  AdapterConfig read(const std::string& text) const {
    std::ofstream(path_) << text;
    return read_adapter_config(path_);
  }
  AdapterConfig read_with(const Json& changes) const {
    Json json = kGood;
    json.update(changes);
    return read(json.dump());
  }
  // What is said of a config that is refused, behind the path.
  std::string refusal(const std::string& text, ErrorKind kind = ErrorKind::BadData) const {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), ::testing::StartsWith(path_.string()));
      return std::string(error.what()).substr(path_.string().size());
    }
    return "no error";
  }

  const std::filesystem::path path_ = std::filesystem::path(::testing::TempDir()) /
                                      ("adapter_config_" + std::to_string(::getpid()) + ".json");
};

TEST_F(AdapterConfigTest, SaysWhatAModuleHas) {
  const AdapterConfig config = read_with({{"rank_pattern", {{"layers.1.mlp.up_proj", 6}, {"q_proj", 2}}},
                                          {"alpha_pattern", {{"q_proj", 3.5}}},
                                          {"use_rslora", true},
                                          {"base_model_name_or_path", "some/base"}});
  EXPECT_EQ(config.base, "some/base");
  EXPECT_TRUE(config.settings.rank_stabilised);
  EXPECT_EQ(config.settings.dropout, 0.1);
  EXPECT_EQ(config.rank_of("model.layers.1.mlp.up_proj"), 6);
  EXPECT_EQ(config.rank_of("model.layers.11.mlp.up_proj"), 4);
  EXPECT_EQ(config.rank_of("model.layers.0.self_attn.q_proj"), 2);
  EXPECT_EQ(config.rank_of("model.layers.0.self_attn.xq_proj"), 4);
  EXPECT_EQ(config.alpha_of("q_proj"), 3.5);
  EXPECT_EQ(config.alpha_of("model.layers.0.mlp.up_proj"), 8);
  EXPECT_TRUE(config.targets_module("model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(config.targets_module("model.layers.0.other.up_proj"));
  EXPECT_FALSE(config.targets_module("up_proj"));
}

TEST_F(AdapterConfigTest, WhatIsWrittenIsRead) {
  AdapterConfig config = read_with({{"rank_pattern", {{"q_proj", 2}}}, {"alpha_pattern", {{"q_proj", 3.5}}}});
  const Json written = adapter_config_json(config);
  EXPECT_EQ(adapter_config_json(read(written.dump())), written);
  EXPECT_EQ(written.at("lora_alpha").dump(), "8");
  EXPECT_FALSE(written.contains("use_rslora"));
  EXPECT_EQ(adapter_config_json(read_with({{"use_rslora", true}})).at("use_rslora"), true);
}

TEST_F(AdapterConfigTest, NamesThatVersionsOfPeftTakeDifferentlyAreRefused) {
  const std::string full = "layers.1.mlp.up_proj";
  const auto patterns = [](const Json& ranks, const Json& alphas, const Json& more = Json::object()) {
    Json json = kGood;
    json.update({{"rank_pattern", ranks}, {"alpha_pattern", alphas}});
    json.update(more);
    return json.dump();
  };
  const std::string expected = "alpha_pattern: another name for a module than in rank_pattern: found ";
  EXPECT_THAT(refusal(patterns({{"up_proj", 2}}, {{full, 3}})),
              HasSubstr(expected + '"' + full + "\" and \"up_proj\""));
  EXPECT_THAT(refusal(patterns({{full, 2}}, {{"up_proj", 3}})),
              HasSubstr(expected + "\"up_proj\" and \"" + full + '"'));
  EXPECT_EQ(read(patterns({{"up_proj", 2}}, {{full, 3}}, {{"peft_version", "0.18.0"}})).alpha_of(full), 3);
  EXPECT_EQ(read(patterns({{"up_proj", 2}}, {{full, 8}})).alpha_of(full), 8);  // the others' alpha, too
  EXPECT_EQ(read(patterns({{"up_proj", 2}}, {{"up_proj", 3}, {full, 3}})).alpha_of(full), 3);
  EXPECT_EQ(read(patterns({{"up_proj", 2}}, {{"q_proj", 3}})).rank_of(full), 2);
}

// Then the tensors alone say where adapters are.
TEST_F(AdapterConfigTest, TargetsThatAreNoPlainListAreNotObeyed) {
  for (const Json& changes : {Json{{"target_modules", "all-linear"}}, Json{{"target_modules", ".*_proj"}},
                              Json{{"target_modules", nullptr}}, Json{{"layers_to_transform", {1}}},
                              Json{{"exclude_modules", {"lm_head"}}}})
    EXPECT_TRUE(read_with(changes).targets.empty()) << changes;
}

TEST_F(AdapterConfigTest, BeginningsThatLeaveTheBaseAreTaken) {
  for (const Json& way : {Json(true), Json(false), Json("gaussian"), Json("eva"), Json("orthogonal"), Json()})
    EXPECT_EQ(read_with({{"init_lora_weights", way}}).settings.rank, 4) << way;
}

TEST_F(AdapterConfigTest, RefusesWhatWouldChangeTheNumbers) {
  const std::pair<Json, std::string> cases[] = {
      {{{"peft_type", "IA3"}}, "peft_type: not supported: found \"IA3\", expected \"LORA\""},
      {{{"peft_type", nullptr}}, "peft_type: missing field"},
      {{{"use_dora", true}}, "use_dora: not supported: found true"},
      {{{"use_qalora", true}}, "use_qalora: not supported"},
      {{{"lora_bias", true}}, "lora_bias: not supported: found true"},
      {{{"bias", "all"}}, "bias: not supported: found \"all\", expected \"none\""},
      {{{"modules_to_save", {"lm_head"}}}, "modules_to_save: not supported: found [\"lm_head\"]"},
      {{{"fan_in_fan_out", true}}, "fan_in_fan_out: not supported"},
      {{{"layer_replication", {{0, 1}, {0, 2}}}}, "layer_replication: not supported"},
      {{{"target_parameters", {"experts"}}}, "target_parameters: not supported"},
      {{{"trainable_token_indices", {1, 2}}}, "trainable_token_indices: not supported"},
      {{{"alora_invocation_tokens", {1}}}, "alora_invocation_tokens: not supported"},
      {{{"megatron_config", {{"a", 1}}}}, "megatron_config: not supported"},
      {{{"init_lora_weights", "pissa"}}, "init_lora_weights: not supported: found \"pissa\""},
      {{{"init_lora_weights", "pissa_niter_16"}}, "init_lora_weights: not supported"},
      {{{"init_lora_weights", "olora"}}, "init_lora_weights: not supported"},
      {{{"init_lora_weights", "loftq"}}, "init_lora_weights: not supported"},
      {{{"init_lora_weights", "corda"}}, "init_lora_weights: not supported"},
      {{{"init_lora_weights", 3}}, "init_lora_weights: "}};
  for (const auto& [changes, expected] : cases) {
    Json json = kGood;
    json.update(changes);
    EXPECT_THAT(refusal(json.dump()), HasSubstr(expected));
  }
}

TEST_F(AdapterConfigTest, RefusesValuesOutOfRangeAndNamesThatArePatterns) {
  const std::pair<Json, std::string> cases[] = {
      {{{"r", nullptr}}, "r: missing field"},
      {{{"r", 0}}, "expected an integer from 1 to 65536"},
      {{{"r", int64_t{1} << 40}}, "expected an integer from 1 to 65536"},
      {{{"r", "4"}}, "r: "},
      {{{"r", 4.5}}, "r: "},
      {{{"lora_alpha", -1}}, "lora_alpha: out of range: found -1"},
      {{{"lora_alpha", nullptr}}, "lora_alpha: missing field"},
      {{{"lora_dropout", 1}}, "lora_dropout: out of range: found 1"},
      {{{"use_rslora", "yes"}}, "use_rslora: "},
      {{{"base_model_name_or_path", 5}}, "base_model_name_or_path: "},
      {{{"target_modules", Json::array()}}, "target_modules: not a list of names"},
      {{{"target_modules", {{"up_proj", 1}}}}, "target_modules: not a list of names"},
      {{{"target_modules", {"q_.*"}}}, "target_modules: not a module's name: found \"q_.*\""},
      {{{"target_modules", {std::string(257, 'x')}}}, "target_modules: not a module's name"},
      {{{"rank_pattern", {{"up|down", 4}}}}, "rank_pattern: not a module's name"},
      {{{"rank_pattern", {{"up_proj", 0}}}}, "up_proj: "},
      {{{"rank_pattern", {"up_proj"}}}, "rank_pattern: "},
      {{{"rank_pattern", {{"up_proj", 6}, {"mlp.up_proj", 4}}}},
       "rank_pattern: two values for one module: found \"mlp.up_proj\" and \"up_proj\""},
      {{{"alpha_pattern", {{"up_proj", "x"}}}}, "up_proj: "},
      {{{"alpha_pattern", {{"up_proj", 1e9}}}}, "alpha_pattern: up_proj: out of range: found 1e+09"}};
  for (const auto& [changes, expected] : cases) {
    Json json = kGood;
    json.update(changes);
    EXPECT_THAT(refusal(json.dump()), HasSubstr(expected));
  }
}

TEST_F(AdapterConfigTest, RefusesFilesThatAreNoConfig) {
  const std::string good = kGood.dump();
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), good.substr(0, good.size() - 1),
        good.substr(0, 40), good + ",", good.substr(0, good.size() - 1) + ", \"r\": 4}", std::string(9, '\0'),
        std::string(100'000, '['), std::string("\xEF\xBB\xBF") + good})
    EXPECT_THAT(refusal(text), HasSubstr(": ")) << text.substr(0, 40);
  EXPECT_THAT(refusal(Json{{"notes", std::string(1 << 20, 'x')}}.dump(), ErrorKind::Limit),
              HasSubstr("1048576"));
}

// Many names that fit one another must not take long.
TEST_F(AdapterConfigTest, ManyPatternsAreLookedUpAtOnce) {
  Json ranks;
  for (int i = 0; i < 15'000; ++i) ranks["layers." + std::to_string(i) + ".mlp.up_proj"] = 1 + i % 9;
  const AdapterConfig config = read_with({{"rank_pattern", ranks}, {"alpha_pattern", ranks}});
  EXPECT_EQ(config.rank_of("model.layers.14999.mlp.up_proj"), 1 + 14'999 % 9);
  EXPECT_EQ(config.alpha_of("model.layers.14999.mlp.up_proj"), 1 + 14'999 % 9);
}

}  // namespace
}  // namespace moellava
