// A progress line on stderr: one line redrawn on a terminal, a plain line every few seconds otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace moellava {

class Progress {
 public:
  // `label` says what is going on, `total` how many units there are, `done` how many were done before
  // (resume).
  Progress(std::string label, int64_t total, int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` is shown behind the bar: "loss 1.83  aux 0.041  812 tokens/s".
  void update(int64_t done, const std::string& note = "");
  // A line of its own, which stays; the bar comes back below it.
  void print(const std::string& line);

 private:
  void draw(bool last);

  std::string label_;
  std::string note_;
  int64_t total_;
  int64_t first_;
  int64_t done_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

// "01:02" or "1:01:02".
std::string clock_text(double seconds);

}  // namespace moellava
