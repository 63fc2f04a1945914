#include "cli/expert_edits.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

MoeConfig two_layers() {
  MoeConfig moe;
  moe.layers = {0, 2};
  moe.experts = {4, 3};
  return moe;
}

std::string refusal_of(const std::vector<std::string>& masks, const std::vector<std::string>& swaps,
                       int64_t top_k = 2) {
  try {
    parse_expert_edits(masks, swaps, two_layers(), top_k);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
}

TEST(ExpertEdits, NumbersCountFromOne) {
  EXPECT_THAT(parse_expert_edits({}, {}, two_layers(), 2), IsEmpty());
  const auto edits = parse_expert_edits({"3:1", "1:4", "1:2", "1:4"}, {"3:1:3"}, two_layers(), 2);
  ASSERT_EQ(edits.size(), 2U);
  EXPECT_THAT(edits[0].masked, ElementsAre(3, 1));
  EXPECT_THAT(edits[0].swapped, IsEmpty());
  EXPECT_THAT(edits[1].masked, ElementsAre(0));
  EXPECT_THAT(edits[1].swapped, ElementsAre(Pair(0, 2)));
}

TEST(ExpertEdits, WhatIsRefused) {
  EXPECT_EQ(refusal_of({"2:1"}, {}), "--mask-expert: a layer without experts: found 2, expected one of 1, 3");
  EXPECT_EQ(refusal_of({"3:4"}, {}), "--mask-expert: no such expert: found 4, expected 1 to 3");
  EXPECT_EQ(refusal_of({"3:0"}, {}), "--mask-expert: no such expert: found 0, expected 1 to 3");
  EXPECT_EQ(refusal_of({}, {"3:1:4"}), "--swap-experts: no such expert: found 4, expected 1 to 3");
  for (const char* text : {"", "3", "3:", ":1", "3:1:2", "3:x", "3:1 ", "-", "3:99999999999999999999"})
    EXPECT_THAT(refusal_of({text}, {}), HasSubstr("--mask-expert: not understood")) << text;
  for (const char* text : {"3:1", "3:1:2:3", "3:1:"})
    EXPECT_THAT(refusal_of({}, {text}), HasSubstr("expected LAYER:EXPERT:EXPERT")) << text;
}

TEST(ExpertEdits, EnoughExpertsMustBeLeft) {
  EXPECT_EQ(
      refusal_of({"3:1", "3:2"}, {}),
      "--mask-expert: too few experts are left in layer 3: found 1, expected at least 2, the choices of a "
      "token (--top-k-experts asks for fewer)");
  EXPECT_EQ(refusal_of({"3:1", "3:2"}, {}, 1), "accepted");
  EXPECT_EQ(
      refusal_of({"3:1", "3:2", "3:3"}, {}, 1),
      "--mask-expert: too few experts are left in layer 3: found 0, expected at least 1, the choices of a "
      "token");
}

}  // namespace
}  // namespace moellava
