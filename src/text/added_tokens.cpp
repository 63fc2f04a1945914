#include "text/added_tokens.hpp"

#include <algorithm>

#include "text/utf8.hpp"

namespace moellava {

namespace {

size_t white_space_before(std::string_view text) {
  size_t kept = text.size();
  while (kept > 0) {
    size_t begin = kept - 1;
    while (begin > 0 && kept - begin < 4 && utf8_length(text.substr(begin, kept - begin)) == 0) --begin;
    if (!is_white_space(text.substr(begin, kept - begin))) break;
    kept = begin;
  }
  return text.size() - kept;
}

size_t white_space_after(std::string_view text) {
  size_t at = 0;
  for (size_t length; (length = utf8_length(text.substr(at, 4))) > 0; at += length) {
    if (!is_white_space(text.substr(at, length))) break;
  }
  return at;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token) {
  Pass& pass = passes_[token.normalized ? 1 : 0];
  pass.empty = false;
  std::vector<AddedToken>& bucket = pass.by_first_byte[static_cast<unsigned char>(token.text[0])];
  const auto shorter = std::find_if(bucket.begin(), bucket.end(), [&](const AddedToken& other) {
    return other.text.size() < token.text.size();
  });
  bucket.insert(shorter, token);
}

const AddedToken* AddedTokenFinder::token_at(const Pass& pass, std::string_view text, size_t at,
                                             const ByteRanges& trusted) {
  for (const AddedToken& token : pass.by_first_byte[static_cast<unsigned char>(text[at])]) {
    if (!text.substr(at).starts_with(token.text)) continue;
    if (!token.special || trusted.contain(at, at + token.text.size())) return &token;
  }
  return nullptr;
}

void AddedTokenFinder::cut_pass(const Pass& pass, std::string_view text, size_t begin, size_t end,
                                const ByteRanges& trusted, const Sink& sink) {
  const std::string_view visible = text.substr(0, end);
  size_t done = begin;
  for (size_t at = pass.empty ? end : begin; at < end;) {
    const AddedToken* token = token_at(pass, visible, at, trusted);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t token_begin = at;
    size_t token_end = at + token->text.size();
    if (token->lstrip) token_begin -= white_space_before(visible.substr(done, at - done));
    if (token->rstrip) token_end += white_space_after(visible.substr(token_end));
    if (token_begin > done) sink({done, token_begin, nullptr, 0});
    sink({token_begin, token_end, token, at});
    done = at = token_end;
  }
  if (end > done) sink({done, end, nullptr, 0});
}

void AddedTokenFinder::cut(std::string_view text, const ByteRanges& trusted, const Sink& sink) const {
  cut_pass(passes_[0], text, 0, text.size(), trusted, [&](const Piece& piece) {
    if (piece.token != nullptr) return sink(piece);
    cut_pass(passes_[1], text, piece.begin, piece.end, trusted, sink);
  });
}

}  // namespace moellava
