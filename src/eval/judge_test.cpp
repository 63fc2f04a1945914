#include "eval/judge.hpp"

#include <gmock/gmock.h>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

bool always(std::string_view) {
  return true;
}

class RecordedJudge : public ::testing::Test {
 protected:
  std::vector<std::string> verdicts(const std::string& lines) const {
    return Judge(folder_.write("judge.jsonl", lines), std::nullopt).verdicts("mm_vet", requests_, always);
  }

  const testing::TemporaryFolder folder_;
  const std::vector<JudgeRequest> requests_ = {{.id = "7", .prompt = {.system = "", .user = "a"}},
                                               {.id = "x", .prompt = {.system = "s", .user = "b"}}};
};

TEST_F(RecordedJudge, SaysWhatWasRecorded) {
  EXPECT_EQ(verdicts("{\"task\": \"mm_vet\", \"question_id\": \"x\", \"verdict\": \"0.5\"}\n\n"
                     "{\"task\": \"llava_bench\", \"question_id\": 7, \"verdict\": \"8 6\"}\n"
                     "{\"task\": \"mm_vet\", \"question_id\": 7, \"verdict\": \"0.1\"}\n"
                     "{\"task\": \"mm_vet\", \"ques"),
            (std::vector<std::string>{"0.1", "0.5"}));
}

// FNV-1a of "\na", computed in Python.
TEST_F(RecordedJudge, KeepsToTheAnswerThatWasJudged) {
  const std::string other = "{\"task\": \"mm_vet\", \"question_id\": \"x\", \"verdict\": \"0.5\"}\n";
  EXPECT_EQ(verdicts(other + "{\"task\": \"mm_vet\", \"question_id\": 7, \"request\": \"08546307b5081774\", "
                             "\"verdict\": \"1\"}\n")[0],
            "1");
  EXPECT_THAT(testing::refusal_of([&] {
                verdicts(other +
                         "{\"task\": \"mm_vet\", \"question_id\": 7, \"request\": \"0000\", "
                         "\"verdict\": \"1\"}\n");
              }),
              HasSubstr("judge.jsonl: no verdict on this answer: found mm_vet, question 7"));
}

TEST_F(RecordedJudge, NamesWhatIsWrong) {
  EXPECT_THAT(testing::refusal_of([&] { verdicts("{\"task\": \"mm_vet\", \"question_id\": 7}\n"); }),
              HasSubstr("judge.jsonl:1: verdict: missing"));
  EXPECT_THAT(testing::refusal_of([&] { verdicts("{\"task\": \"mm_vet\"\n{}\n"); }),
              HasSubstr("judge.jsonl:1"));
  EXPECT_THAT(testing::refusal_of([&] { Judge(folder_ / "none.jsonl", std::nullopt); }),
              HasSubstr("none.jsonl"));
  EXPECT_THAT(testing::refusal_of(
                  [&] { ChatEndpoint(ChatEndpointOptions{.url = "file:///etc/passwd", .model = ""}); }),
              HasSubstr("--judge-url: not an address"));
}

}  // namespace
}  // namespace moellava
