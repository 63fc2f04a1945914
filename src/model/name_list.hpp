// Names of tensors in a message: the first few, and how many there are.
#pragma once

#include <initializer_list>
#include <string>

#include "base/error.hpp"

namespace moellava {

class NameList {
 public:
  explicit NameList(const char* kind) : kind_(kind) {}

  void add(const std::string& name) {
    if (++count_ <= kListed) text_ += (text_.empty() ? "" : ", ") + printable(name);
  }
  bool empty() const { return count_ == 0; }
  // "3 missing: a, b, c"
  std::string text() const {
    if (empty()) return "";
    return std::to_string(count_) + " " + kind_ + ": " + text_ + (count_ > kListed ? ", ..." : "");
  }

 private:
  static constexpr size_t kListed = 10;

  const char* kind_;
  size_t count_ = 0;
  std::string text_;
};

// All that are not empty, as one text.
inline std::string text_of_lists(std::initializer_list<const NameList*> lists) {
  std::string text;
  for (const NameList* list : lists) {
    if (!list->empty()) text += (text.empty() ? "" : "; ") + list->text();
  }
  return text;
}

}  // namespace moellava
