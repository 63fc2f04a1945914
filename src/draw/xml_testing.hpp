// For tests: whether a picture is well-formed XML, and what it contains.
#pragma once

#include <string>
#include <vector>

namespace moellava::test {

inline size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

inline bool is_entity(const std::string& text) {
  for (const char* entity : {"&amp;", "&lt;", "&gt;", "&quot;"}) {
    if (text.starts_with(entity)) return true;
  }
  return false;
}

// Every tag closed in order, attributes quoted, no stray '<' or '&': enough for XML as plain as ours. "" when
// all is well.
inline std::string fault_in(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&' && !is_entity(xml.substr(at, 6))) return "a bare &";
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return "an open tag";
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag.find('<') != std::string::npos) return "a tag within " + name;
    if (count(tag, "\"") % 2 != 0) return "an open quote in " + name;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != name) return "unexpected end of " + name;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : open.back() + " not closed";
}

}  // namespace moellava::test
