#include "eval/published_results.hpp"

#include <gmock/gmock.h>

#include "eval/report_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(PublishedResults, StandBesideOurs) {
  EvalResult pope = testing::moe_result(), own = testing::moe_result(), elsewhere = testing::moe_result();
  pope.task = "pope";
  pope.scores.published =
      Published{.name = "mean F1", .value = 80.04, .low = 79, .high = 81, .method = "bootstrap"};
  for (const char* category : {"adversarial", "popular"}) {
    pope.scores.figures.push_back(
        {.name = category, .figures = {{"accuracy", 0.8}, {"f1", 0.75}, {"yes_ratio", 0.5}}});
  }
  elsewhere.task = "vqav2";
  elsewhere.scored_elsewhere = 10;
  const std::vector<std::vector<EvalResult>> reports = {{pope, own, elsewhere}};
  const std::string text = published_tables(reports, std::vector<std::string>{"mine"});
  EXPECT_THAT(text, HasSubstr("| model              |  active | resolution | POPE |\n"));
  EXPECT_THAT(text, HasSubstr("| mine               | 160.2 M |        224 | 80.0 |\n"));
  EXPECT_THAT(text, HasSubstr("| MoE-LLaVA-2.7B     |   3.6 B |        336 | 86.3 |\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "| mine                      | 80.0 / 75.0 / 50.0 | 80.0 / 75.0 / 50.0 |                  - |\n"));
  EXPECT_THAT(text, HasSubstr("| LLaVA-1.5-13B             | 85.5 / 84.4 / 43.3 |"));
}

TEST(PublishedResults, AreAllShownBesideOwnData) {
  const std::vector<std::vector<EvalResult>> reports = {{testing::moe_result()}};
  const std::string text = published_tables(reports, std::vector<std::string>{"mine"});
  EXPECT_THAT(text, HasSubstr("VQAv2"));
  EXPECT_THAT(text, HasSubstr("35.4 |\n"));
  EXPECT_THAT(text, Not(HasSubstr("accuracy / F1")));
}

}  // namespace
}  // namespace moellava
