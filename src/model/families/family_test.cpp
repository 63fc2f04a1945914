#include "model/families/family.hpp"

#include "tests/testing.hpp"

namespace moellava {
namespace {

TEST(Family, NamesItsTensors) {
  EXPECT_EQ(kPhi.file_name("model.layers.3.self_attn.o_proj.weight"),
            "model.layers.3.self_attn.dense.weight");
  EXPECT_EQ(kPhi.file_name("model.layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.1.up_proj.bias"),
            "model.layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.1.fc1.bias");
  EXPECT_EQ(kPhi.file_name("model.norm.weight"), "model.final_layernorm.weight");
  EXPECT_EQ(kQwen.file_name("model.layers.7.self_attn.k_proj.bias"), "transformer.h.7.attn.c_attn.bias");
  EXPECT_EQ(kQwen.file_name("model.layers.7.mlp.gate_proj.weight"), "transformer.h.7.mlp.w2.weight");
  EXPECT_EQ(kStableLm.file_name("model.norm.bias"), "model.norm.bias");
  // A tower keeps the names of its layers.
  EXPECT_EQ(
      kQwen.file_name("model.image_tower.image_tower.vision_model.encoder.layers.0.self_attn.q_proj.bias"),
      "transformer.image_tower.image_tower.vision_model.encoder.layers.0.self_attn.q_proj.bias");
}

TEST(Family, ConfigsSurviveWritingAndReading) {
  for (const Family* family : {&kLlama, &kMistral, &kPhi, &kStableLm, &kQwen, &kQwen2, &kMiniCpm}) {
    const Json source =
        parse_json(R"({"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
      "intermediate_size": 40, "hidden_act": "gelu_new", "rope_pct": 0.5, "partial_rotary_factor": 0.25,
      "layer_norm_eps": 3e-5, "norm_eps": 4e-5, "rms_norm_eps": 2e-5, "layer_norm_epsilon": 5e-5, "rope_theta": 5000,
      "sliding_window": 9, "seq_length": 77, "use_logn_attn": false, "scale_emb": 12, "scale_depth": 1.4,
      "dim_model_base": 16, "resid_pdrop": 0.1, "embd_pdrop": 0.2, "emb_dropout_prob": 0.3, "attention_dropout": 0.4,
      "attn_dropout_prob": 0.5})",
                   "a");
    const DecoderConfig first = family->read(JsonObject(source, "a"));
    Json written = Json::object();
    family->write(first, written);
    const DecoderConfig second = family->read(JsonObject(written, "b"));
    EXPECT_EQ(first.intermediate_size, second.intermediate_size) << family->name;
    EXPECT_EQ(first.norm_eps, second.norm_eps) << family->name;
    EXPECT_EQ(first.rotary_fraction, second.rotary_fraction) << family->name;
    EXPECT_EQ(first.rope_theta, second.rope_theta) << family->name;
    EXPECT_EQ(first.activation, second.activation) << family->name;
    EXPECT_EQ(first.kv_heads, second.kv_heads) << family->name;
    EXPECT_EQ(first.attention_window, second.attention_window) << family->name;
    EXPECT_EQ(first.dynamic_ntk_length, second.dynamic_ntk_length) << family->name;
    EXPECT_EQ(first.logn_length, second.logn_length) << family->name;
    EXPECT_EQ(first.residual_dropout, second.residual_dropout) << family->name;
    EXPECT_EQ(first.embedding_dropout, second.embedding_dropout) << family->name;
    EXPECT_EQ(first.attention_dropout, second.attention_dropout) << family->name;
    EXPECT_DOUBLE_EQ(first.embedding_scale, second.embedding_scale) << family->name;
    EXPECT_DOUBLE_EQ(first.residual_scale, second.residual_scale) << family->name;
    EXPECT_DOUBLE_EQ(first.logit_scale, second.logit_scale) << family->name;
  }
}

}  // namespace
}  // namespace moellava
