// Verdicts of a language model on free answers, asked of an endpoint or recorded before.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "eval/chat_endpoint.hpp"

namespace moellava {

struct JudgeRequest {
  std::string id;  // of the question
  ChatPrompt prompt;
};

// Whether a verdict can be read.
using Understands = bool (*)(std::string_view verdict);

class Judge {
 public:
  // `recorded` is a file of JSON lines {"task", "question_id", "request", "judge", "verdict"}, read when it
  // is there and, with an endpoint, added to as verdicts come, so that a run that was stopped asks nothing
  // twice;
  // "" for none. Without an endpoint every verdict must be there. Throws BadData naming file, line and field.
  Judge(std::filesystem::path recorded, std::optional<ChatEndpointOptions> endpoint);

  // A verdict for each request. One that cannot be read is asked for again, four times, each time at a higher
  // temperature; the last is returned whatever it says. A recorded verdict counts for the same request only,
  // or, where the file names none ("request" is missing), for the question.
  std::vector<std::string> verdicts(const std::string& task, std::span<const JudgeRequest> requests,
                                    Understands understands);

 private:
  void read_recorded();
  std::string ask(const JudgeRequest& request, Understands understands) const;
  void record(const std::string& task, const JudgeRequest& request, const std::string& verdict);

  std::filesystem::path path_;
  std::string model_;
  std::optional<ChatEndpoint> endpoint_;
  std::unordered_map<std::string, std::string> known_;  // by task, question and request
  std::ofstream file_;
};

}  // namespace moellava
