#include "eval/answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "base/file_io.hpp"
#include "eval/tasks/short_answer.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class Answers : public testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }
  std::vector<std::string> written(const std::string& model_id) {
    const std::vector<Question> questions = {
        {.id = 7, .image = "a.png", .text = "Is there a dog?", .category = "", .answer = "", .where = ""},
        {.id = "x", .image = "", .text = "Two\nlines?", .category = "", .answer = "", .where = ""}};
    const std::vector<std::string> answers = {"yes", "\"broken \xff\""};
    write_answers(path_, short_answer_task(), questions, answers, model_id);
    const std::string content = read_file(path_, 1 << 20);
    std::vector<std::string> lines;
    for (size_t at = 0; at < content.size();) {
      const size_t end = content.find('\n', at);
      lines.push_back(content.substr(at, end - at));
      at = end + 1;
    }
    return lines;
  }
  const fs::path path_ =
      fs::temp_directory_path() / ("moellava_answers_" + std::to_string(::getpid()) + ".jsonl");
};

TEST_F(Answers, AreLlavasLines) {
  const std::vector<std::string> lines = written("moe");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(
      lines[0],
      testing::MatchesRegex(
          "\\{\"question_id\":7,\"prompt\":\"Is there a dog\\?\",\"text\":\"yes\",\"answer_id\":\"[2-9A-"
          "Za-z]{22}\",\"model_id\":\"moe\",\"metadata\":\\{\\}\\}"));
  const Json second = parse_json(lines[1], "line 2");
  EXPECT_EQ(second["question_id"], "x");
  EXPECT_EQ(second["prompt"], "Two\nlines?");
  EXPECT_EQ(second["text"], "\"broken \xef\xbf\xbd\"");
}

TEST_F(Answers, HaveTheSameIdsInEqualRunsOnly) {
  const std::vector<std::string> lines = written("moe");
  EXPECT_EQ(written("moe"), lines);
  std::set<std::string> ids;
  for (const std::string model : {"moe", "dense"}) {
    for (const std::string& line : written(model)) ids.insert(parse_json(line, "line")["answer_id"]);
  }
  EXPECT_EQ(ids.size(), 4U);
}

}  // namespace
}  // namespace moellava
