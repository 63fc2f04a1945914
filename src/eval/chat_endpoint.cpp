#include "eval/chat_endpoint.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

#include "base/error.hpp"
#include "base/json.hpp"

namespace moellava {

namespace {

using std::chrono::milliseconds;

constexpr size_t kLongestReply = 1 << 20;

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Curl = std::unique_ptr<CURL, CurlDeleter>;
using Headers = std::unique_ptr<curl_slist, CurlDeleter>;

// What came of one try: a reply, or why there is none.
struct Try {
  std::string text;
  std::string failure;
  bool hopeless = false;  // another try would fail the same way
  std::optional<milliseconds> wait = {};
};

size_t append(char* bytes, size_t size, size_t count, void* text) {
  auto& reply = *static_cast<std::string*>(text);
  if (reply.size() + size * count > kLongestReply) return 0;  // ends the transfer
  reply.append(bytes, size * count);
  return size * count;
}

std::string body_of(const ChatPrompt& prompt, const std::string& model) {
  Json messages = Json::array();
  if (!prompt.system.empty()) messages.push_back({{"role", "system"}, {"content", prompt.system}});
  messages.push_back({{"role", "user"}, {"content", prompt.user}});
  const Json body = {{"model", model},
                     {"messages", std::move(messages)},
                     {"temperature", prompt.temperature},
                     {"max_tokens", prompt.max_tokens}};
  return body.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Try read_reply(const std::string& reply) {
  try {
    const Json json = parse_json(reply, "reply", {.bytes = kLongestReply, .depth = 32});
    const Json& choices = JsonObject(json, "reply").at("choices");
    if (!choices.is_array() || choices.empty()) throw bad_data("reply: choices", "empty");
    const JsonObject message = JsonObject(choices[0], "reply: choices[0]").object("message");
    return {.text = message.string("content"), .failure = ""};
  } catch (const Error& error) {
    return {.text = "", .failure = error.what()};
  }
}

Try status_failure(long status, const std::string& reply, CURL* curl) {
  Try failed{.text = "", .failure = "status " + std::to_string(status)};
  if (!reply.empty()) failed.failure += ": \"" + printable(reply) + "\"";
  failed.hopeless = status != 408 && status != 429 && status < 500;
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    failed.wait = milliseconds(1000 * static_cast<int64_t>(seconds));
  return failed;
}

Try post(const ChatEndpointOptions& options, const std::string& body) {
  const Curl curl(curl_easy_init());
  Headers headers(curl_slist_append(nullptr, "Content-Type: application/json"));
  if (!options.key.empty())
    headers.reset(curl_slist_append(headers.release(), ("Authorization: Bearer " + options.key).c_str()));
  if (curl == nullptr || headers == nullptr) throw make_error(ErrorKind::Internal, "judge", "no HTTP client");
  std::string reply;
  const std::string url = options.url + "/chat/completions";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &reply);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_WRITE_ERROR) return {.text = "", .failure = "a reply above 1 MiB"};
  if (code != CURLE_OK) return {.text = "", .failure = curl_easy_strerror(code)};
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  return status == 200 ? read_reply(reply) : status_failure(status, reply, curl.get());
}

}  // namespace

ChatEndpoint::ChatEndpoint(ChatEndpointOptions options) : options_(std::move(options)) {
  const std::string_view url = options_.url;
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    throw usage_error(
        "--judge-url", "not an address",
        {.found = "\"" + printable(url) + "\"", .expected = "http://... or https://..., up to /v1"});
  }
  while (options_.url.ends_with('/')) options_.url.pop_back();
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw make_error(ErrorKind::Internal, "judge", curl_easy_strerror(ready));
}

std::string ChatEndpoint::complete(const ChatPrompt& prompt) const {
  const std::string body = body_of(prompt, options_.model);
  milliseconds pause = options_.first_pause;
  for (int count = 1;; ++count) {
    Try tried = post(options_, body);
    if (tried.failure.empty()) return tried.text;
    const std::string where = printable(options_.url);
    if (tried.hopeless) throw bad_data(where, tried.failure);
    if (count == options_.tries) {
      throw make_error(ErrorKind::Io, where, "no answer in " + std::to_string(count) + " tries",
                       {.found = tried.failure});
    }
    std::this_thread::sleep_for(std::min(tried.wait.value_or(pause), options_.longest_pause));
    pause *= 2;
  }
}

}  // namespace moellava
