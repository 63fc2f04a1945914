#include "base/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/say.hpp"

namespace moellava {

namespace {

constexpr int kBarWidth = 20;
constexpr double kTerminalInterval = 0.1;  // seconds between redraws
constexpr double kPlainInterval = 10;

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%d:%02d:%02d", static_cast<int>(whole / 3600),
                  static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%02d:%02d", static_cast<int>(whole / 60), static_cast<int>(whole % 60));
  }
  return text;
}

Progress::Progress(std::string label, int64_t total, int64_t done)
    : label_(std::move(label)),
      total_(total),
      first_(done),
      done_(done),
      terminal_(stderr_is_terminal()),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  draw(/*last=*/true);
}

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  note_ = note;
  const double wait = terminal_ ? kTerminalInterval : kPlainInterval;
  if (seconds_between(drawn_, std::chrono::steady_clock::now()) >= wait) draw(/*last=*/false);
}

void Progress::print(const std::string& line) {
  std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\033[K" : "", line.c_str());
  if (terminal_) draw(/*last=*/false);
}

void Progress::draw(bool last) {
  if (is_quiet()) return;
  drawn_ = std::chrono::steady_clock::now();
  const double elapsed = seconds_between(start_, drawn_);
  const int64_t worked = done_ - first_;
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1.0;
  const int filled = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') +
                          std::string(static_cast<size_t>(kBarWidth - filled), '.');
  std::string time = "took " + clock_text(elapsed);
  if (!last)
    time =
        worked > 0
            ? "ETA " + clock_text(elapsed / static_cast<double>(worked) * static_cast<double>(total_ - done_))
            : "ETA --:--";
  std::fprintf(stderr, "%s%s  [%s] %lld/%lld%s%s  %s%s", terminal_ ? "\r\033[K" : "", label_.c_str(),
               bar.c_str(), static_cast<long long>(done_), static_cast<long long>(total_),
               note_.empty() ? "" : "  ", note_.c_str(), time.c_str(), terminal_ && !last ? "" : "\n");
}

}  // namespace moellava
