#include "generate/answer_writer.hpp"

#include <algorithm>

namespace moellava {

AnswerWriter::AnswerWriter(const Tokenizer& tokenizer, const GenerateRequest& request, int64_t most)
    : tokenizer_(tokenizer), request_(request), stream_(tokenizer), most_(most), wants_more_(most > 0) {}

bool AnswerWriter::ends(int32_t id) const {
  return id == tokenizer_.eos_id ||
         std::find(request_.stop_ids.begin(), request_.stop_ids.end(), id) != request_.stop_ids.end();
}

// True when a stop text is complete, which then ends the text.
bool AnswerWriter::add_text(std::string_view more) {
  std::string& text = result_.text;
  text += more;
  size_t first = std::string::npos;
  for (const std::string& stop : request_.stop) {
    if (!stop.empty()) first = std::min(first, text.find(stop));
  }
  if (first == std::string::npos) return false;
  text.resize(first);
  return true;
}

void AnswerWriter::push(int32_t id) {
  if (ends(id)) {
    result_.end_id = id;
    stopped_ = true;
  } else {
    result_.ids.push_back(id);
    stopped_ = add_text(stream_.push(id));
  }
  wants_more_ = !stopped_ && static_cast<int64_t>(size()) < most_;
}

std::string AnswerWriter::take() {
  const std::string& text = result_.text;
  size_t held = 0;
  for (const std::string& stop : request_.stop) {
    for (size_t n = std::min(stop.size(), text.size()); n > held && !finished_; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) held = n;
    }
  }
  const size_t end = std::max(shown_, text.size() - held);
  std::string part = text.substr(shown_, end - shown_);
  shown_ = end;
  return part;
}

void AnswerWriter::finish() {
  if (!stopped_) add_text(stream_.finish());
  finished_ = true;
  result_.reason = stopped_ ? FinishReason::Stop : FinishReason::Length;
}

}  // namespace moellava
