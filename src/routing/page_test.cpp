#include "routing/page.hpp"

#include <gmock/gmock.h>

#include "base/json.hpp"
#include "draw/xml_testing.hpp"
#include "routing/sample_sheet.hpp"
#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Image grey(int size) {
  return {.width = size,
          .height = size,
          .rgb = std::vector<uint8_t>(3 * static_cast<size_t>(size) * static_cast<size_t>(size), 128)};
}

std::string page_of(const RoutingTrace& trace, const std::vector<SampleView>& views) {
  const RoutingStatistics statistics = routing_statistics(trace);
  return routing_page(trace, statistics, routing_figures(statistics), views);
}

Json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = page.find(begin) + begin.size();
  return Json::parse(page.substr(at, page.find("</script>", at) - at));
}

TEST(RoutingPage, CarriesChoicesAndPictures) {
  const RoutingTrace trace = testing::random_trace(3, 4, 2, 2);
  SampleView view = sample_view(trace, 1);
  ASSERT_EQ(view.pictures.size(), 1U);
  EXPECT_EQ(view.pictures[0].grid.columns, 2U);
  view.pictures[0].image = grey(16);
  const std::string page = page_of(trace, {view});
  const Json data = data_of(page);
  EXPECT_EQ(data["layers"], Json({1, 3, 5}));
  const Json& sample = data["samples"][0];
  EXPECT_THAT(sample["pictures"][0]["src"].get<std::string>(),
              ::testing::StartsWith("data:image/webp;base64,"));
  ASSERT_EQ(sample["tokens"].size(), trace.samples[1].tokens);
  ASSERT_EQ(sample["experts"].size(), trace.samples[1].tokens * 3 * 2);
  for (size_t t = 0; t < view.tokens; ++t) {
    const TracedToken& token = trace.tokens[view.first_token + t];
    EXPECT_EQ(sample["tokens"][t],
              Json({trace.text_of(token), token.picture, token.patch, token.answer ? 1 : 0}));
    for (size_t l = 0; l < 3; ++l) {
      const TracedChoice& second = trace.choice(view.first_token + t, l, 1);
      EXPECT_EQ(sample["experts"][(t * 3 + l) * 2 + 1], second.expert);
      EXPECT_EQ(sample["weights"][(t * 3 + l) * 2 + 1], second.dropped ? 0 : 50);
    }
  }
}

TEST(RoutingPage, NeedsNoNetworkAndNoTextCanBreakOut) {
  RoutingTrace trace = testing::random_trace(2, 3, 2, 2);
  trace.model.name = "<img src=x onerror=alert(1)>";
  trace.samples[0].source = "</script><b>";
  trace.samples[0].images = {"\" onerror=\"x"};
  trace.token_text[0] = "</script><script>alert(1)</script>";
  trace.token_text[1] = std::string("\xe2\x82\0", 3);
  const std::string page = page_of(trace, {sample_view(trace, 0), sample_view(trace, 1)});
  EXPECT_EQ(test::count(page, "</script>"), 2U);
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_EQ(test::count(page, "http://") + test::count(page, "https://"),
            test::count(page, "http://www.w3.org/"));
  data_of(page);  // is still JSON
}

TEST(RoutingPage, WithoutQuestionsToShowThereAreTheFigures) {
  const RoutingTrace trace = testing::random_trace(2, 3, 1, 2);
  const std::string page = page_of(trace, {});
  EXPECT_THAT(page, Not(HasSubstr("id=\"explorer\"")));
  for (const char* name : {"load", "modalities", "depth", "pathways", "paths", "co_activation", "positions"})
    EXPECT_THAT(page, HasSubstr("<section id=\"" + std::string(name) + "\">"));
}

TEST(ShownText, IsAlwaysUtf8) {
  EXPECT_EQ(shown_text("a\xc3\xa9\n"), "a\xc3\xa9\n");
  EXPECT_EQ(shown_text(std::string("\xe2\x82\0\x1b", 4)), "\\xe2\\x82\\x00\\x1b");
}

TEST(SampleTitle, IsSourceIdAndQuestion) {
  TracedSample sample{.id = "17", .source = "pope", .category = "", .text = "Is there\na dog?", .images = {}};
  EXPECT_EQ(sample_title(sample), "pope 17: Is there a dog?");
  sample.text = std::string(59, 'x') + "\xc3\xa9 and more";
  EXPECT_EQ(sample_title(sample), "pope 17: " + std::string(59, 'x') + "...");
  EXPECT_EQ(sample_title({}), "");
}

TEST(SampleSheet, ShowsEveryPatchAndWordInEveryLayer) {
  const RoutingTrace trace = testing::random_trace(7, 4, 2, 2);
  SampleView view = sample_view(trace, 0);
  view.pictures[0].image = grey(16);
  const std::string svg = svg_of(sample_sheet(trace, view));
  EXPECT_EQ(test::fault_in(svg), "");
  EXPECT_EQ(test::count(svg, "<image "), 7U);
  EXPECT_EQ(test::count(svg, "<polygon "), 7U * 4);
  for (int layer = 1; layer <= 13; layer += 2)
    EXPECT_THAT(svg, HasSubstr(">layer " + std::to_string(layer) + "<"));
  EXPECT_EQ(test::count(svg, ">w"), 7U * (trace.samples[0].tokens - 4));
  EXPECT_FALSE(png_of(sample_sheet(trace, view), 1).empty());
}

TEST(SampleSheet, OfWordsAloneAndWithoutTheirPicture) {
  RoutingTrace trace = testing::random_trace(2, 4, 2, 1);
  EXPECT_EQ(test::fault_in(svg_of(sample_sheet(trace, sample_view(trace, 0)))), "");
  testing::add_sample(trace, "text", "", "");
  testing::add_token(trace, {.id = 1}, {0, 1});
  const std::string svg = svg_of(sample_sheet(trace, sample_view(trace, 1)));
  EXPECT_EQ(test::fault_in(svg), "");
  EXPECT_EQ(test::count(svg, "<image "), 0U);
}

}  // namespace
}  // namespace moellava
