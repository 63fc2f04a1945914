#include "eval/judge.hpp"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/fnv1a.hpp"
#include "base/progress.hpp"
#include "base/string_printf.hpp"
#include "eval/json_lines.hpp"
#include "eval/questions.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

constexpr int kTries = 5;
constexpr double kWarmer = 0.5;

std::string request_hash(const ChatPrompt& prompt) {
  Fnv1a hash;
  hash.add(prompt.system);
  hash.add("\n");
  hash.add(prompt.user);
  return string_printf("%016llx", static_cast<unsigned long long>(hash.value()));
}

// `request` is "" where it is not known.
std::string key_of(const std::string& task, const std::string& id, const std::string& request) {
  return task + "\n" + id + "\n" + request;
}

}  // namespace

Judge::Judge(std::filesystem::path recorded, std::optional<ChatEndpointOptions> endpoint)
    : path_(std::move(recorded)) {
  if (endpoint) {
    model_ = endpoint->model;
    endpoint_.emplace(*std::move(endpoint));
  }
  if (!path_.empty() && (!endpoint_ || std::filesystem::exists(path_))) read_recorded();
  if (endpoint_ && !path_.empty()) {
    file_.open(path_, std::ios::app | std::ios::binary);
    if (!file_) throw io_error(path_.string(), "cannot be written", errno);
  }
}

void Judge::read_recorded() {
  std::string whole;
  for (const TextLine& line : read_lines(path_)) {
    if (!line.ended && !Json::accept(line.text)) continue;  // cut off by a kill
    const Json json = parse_line(line);
    const JsonObject verdict(json, line.where);
    known_[key_of(verdict.string("task"), id_text(question_id(verdict, "question_id")),
                  verdict.string_or("request", ""))] = verdict.string("verdict");
    whole += line.text + "\n";
  }
  // What is added must begin a line of its own.
  if (endpoint_) write_file_atomic(path_, whole);
}

std::vector<std::string> Judge::verdicts(const std::string& task, std::span<const JudgeRequest> requests,
                                         Understands understands) {
  Progress progress(task + ", judging", std::ssize(requests));
  std::vector<std::string> verdicts;
  for (const JudgeRequest& request : requests) {
    auto known = known_.find(key_of(task, request.id, request_hash(request.prompt)));
    if (known == known_.end()) known = known_.find(key_of(task, request.id, ""));
    if (known != known_.end()) {
      verdicts.push_back(known->second);
    } else if (endpoint_) {
      verdicts.push_back(ask(request, understands));
      record(task, request, verdicts.back());
    } else {
      throw bad_data(
          path_.string(), "no verdict on this answer",
          {.found = task + ", question " + printable(request.id), .hint = "--judge-url asks for it"});
    }
    progress.update(std::ssize(verdicts));
  }
  return verdicts;
}

std::string Judge::ask(const JudgeRequest& request, Understands understands) const {
  ChatPrompt prompt = request.prompt;
  std::string verdict;
  for (int i = 0; i < kTries; ++i) {
    verdict = replace_invalid_utf8(endpoint_->complete(prompt));
    if (understands(verdict)) break;
    prompt.temperature += kWarmer;
  }
  return verdict;
}

void Judge::record(const std::string& task, const JudgeRequest& request, const std::string& verdict) {
  if (path_.empty()) return;
  const nlohmann::ordered_json line = {{"task", task},
                                       {"question_id", request.id},
                                       {"request", request_hash(request.prompt)},
                                       {"judge", model_},
                                       {"verdict", verdict}};
  file_ << line.dump() << "\n" << std::flush;
  if (!file_) throw io_error(path_.string(), "cannot be written", errno);
}

}  // namespace moellava
