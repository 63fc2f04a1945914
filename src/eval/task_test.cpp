#include "eval/task.hpp"

#include <gmock/gmock.h>

#include <set>

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

TEST(Tasks, AreFoundByName) {
  const std::vector<std::string> names = task_names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const std::string& name : names) {
    EXPECT_EQ(find_task(name).name, name);
    EXPECT_NE(find_task(name).load, nullptr);
  }
  EXPECT_THAT(testing::refusal_of([] { find_task("popes"); }), ::testing::HasSubstr("did you mean pope?"));
}

// Which picture the original's runners show: the centre cut out for these, the padded whole for the others.
TEST(Tasks, CropAsTheOriginalDoes) {
  std::set<std::string> cropped;
  for (const std::string& name : task_names()) {
    if (find_task(name).center_crop) cropped.insert(name);
  }
  EXPECT_EQ(cropped, (std::set<std::string>{"scienceqa", "llava_bench", "mm_vet"}));
}

}  // namespace
}  // namespace moellava
