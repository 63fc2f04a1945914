// An answer as it grows, token by token: its ids, its text, and what ends it.
#pragma once

#include <string>
#include <string_view>

#include "generate/request.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

class AnswerWriter {
 public:
  // At most `most` tokens. `tokenizer` and `request` must outlive the writer.
  AnswerWriter(const Tokenizer& tokenizer, const GenerateRequest& request, int64_t most);

  // False once an end id, a stop text or the length has ended the answer.
  bool wants_more() const { return wants_more_; }
  // How many tokens there are, by which the next one is drawn.
  size_t size() const { return result_.ids.size(); }
  void push(int32_t id);

  // What can be shown now and was not shown before: never half a UTF-8 character and never the beginning of a
  // stop text.
  std::string take();
  // The answer has ended: what was held back becomes text.
  void finish();
  GenerateResult& result() { return result_; }

 private:
  bool ends(int32_t id) const;
  bool add_text(std::string_view more);

  const Tokenizer& tokenizer_;
  const GenerateRequest& request_;
  StreamDecoder stream_;
  int64_t most_;
  GenerateResult result_;
  bool wants_more_;
  bool stopped_ = false;
  bool finished_ = false;
  size_t shown_ = 0;
};

}  // namespace moellava
