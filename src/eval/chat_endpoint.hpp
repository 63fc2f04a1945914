// Any server that speaks OpenAI's chat completions over HTTP.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace moellava {

struct ChatEndpointOptions {
  std::string url;       // up to the version: "http://127.0.0.1:8000/v1"
  std::string model;     // its name there
  std::string key = {};  // sent as a bearer token; "" for none
  std::chrono::milliseconds timeout{60'000};
  int tries = 6;                                    // of a request in all
  std::chrono::milliseconds first_pause{500};       // before the second try; doubled each time
  std::chrono::milliseconds longest_pause{60'000};  // even where the server asks for more
};

struct ChatPrompt {
  std::string system;  // "" for none
  std::string user;
  double temperature = 0;
  int64_t max_tokens = 1024;
};

class ChatEndpoint {
 public:
  // Throws Usage for a URL that is neither http nor https.
  explicit ChatEndpoint(ChatEndpointOptions options);

  // The text of the first choice. Asked again when there is no connection, no answer in time, no sense in the
  // answer, or status 408, 429 or 5xx, after the pause that Retry-After asks for. Throws Io when no try was
  // answered, naming the last failure, and BadData for any other status.
  std::string complete(const ChatPrompt& prompt) const;

 private:
  ChatEndpointOptions options_;
};

}  // namespace moellava
