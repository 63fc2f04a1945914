// B requests, R rows of the cache, G different beginnings, T positions, V vocabulary.
#include "generate/batch.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "generate/answer_writer.hpp"
#include "text/conversation.hpp"

namespace moellava {

namespace {

// A cache whose row i is row rows[i] of another, with room for `capacity` positions.
KvCache select_rows(const Decoder& decoder, const KvCache& cache, const std::vector<int64_t>& rows,
                    int64_t capacity) {
  const at::Tensor index = at::tensor(rows, at::kLong), own_index = index.to(decoder.device());
  KvCache selected = decoder.make_cache(std::ssize(rows), capacity);
  selected.length = cache.length;
  for (size_t i = 0; i < cache.layers.size(); ++i) {
    const auto copy = [&](const at::Tensor& from, at::Tensor& to) {
      to.narrow(2, 0, cache.length).copy_(from.narrow(2, 0, cache.length).index_select(0, own_index));
    };
    copy(cache.layers[i].keys, selected.layers[i].keys);
    copy(cache.layers[i].values, selected.layers[i].values);
  }
  if (cache.real.defined()) selected.real = cache.real.index_select(0, index);
  for (const int64_t row : rows)
    selected.rotary_theta.push_back(cache.rotary_theta[static_cast<size_t>(row)]);
  return selected;
}

// Ids up to the last picture; all words of a conversation before its first question are among them.
size_t beginning_of(const GenerateRequest& request) {
  const auto last = std::find(request.ids.rbegin(), request.ids.rend(), kImageTokenId);
  return static_cast<size_t>(request.ids.rend() - last);
}

bool begin_alike(const GenerateRequest& a, const GenerateRequest& b) {
  const size_t length = beginning_of(a);
  return length == beginning_of(b) && std::equal(a.ids.begin(), a.ids.begin() + length, b.ids.begin()) &&
         (a.features.is_same(b.features) || a.features.equal(b.features));
}

// Whether beginnings can be run by themselves: all have one, something follows, and what they compute does
// not depend on what follows.
bool can_share(const MoeLlava& model, std::span<const GenerateRequest> requests) {
  if (may_drop(model.config(), requests[0].moe)) return false;
  return std::all_of(requests.begin(), requests.end(), [&](const GenerateRequest& request) {
    const size_t begins = beginning_of(request);
    const int64_t positions = prompt_positions(model, request);
    return begins > 0 && begins < request.ids.size() &&
           model.decoder().rotary_config(positions).theta == model.decoder().rotary_config(0).theta;
  });
}

class Batch {
 public:
  Batch(const MoeLlava& model, const Tokenizer& tokenizer, std::span<const GenerateRequest> requests)
      : model_(model), decoder_(model.decoder()), tokenizer_(tokenizer), requests_(requests) {
    const int64_t limit = model.config().decoder.max_positions;
    for (const GenerateRequest& request : requests) {
      const int64_t positions = prompt_positions(model, request);
      const int64_t most = std::clamp<int64_t>(request.max_new_tokens, 0, limit - positions);
      most_ = std::max(most_, most);
      writers_.emplace_back(tokenizer, request, most);
      writers_.back().result().prompt_positions = positions;
    }
  }

  std::vector<GenerateResult> run(const std::function<void(size_t, const GenerateResult&)>& on_answer) {
    at::Tensor logits = read_prompts();  // [R, V]
    while (true) {
      write(logits, on_answer);
      if (!any_waiting()) break;
      leave();
      logits = next_logits();
    }
    std::vector<GenerateResult> results;
    for (AnswerWriter& writer : writers_) results.push_back(std::move(writer.result()));
    return results;
  }

 private:
  at::Tensor read_prompts() {
    std::vector<int64_t> groups(requests_.size(), 0);  // [B] of each request's beginning
    std::vector<size_t> cuts(requests_.size(), 0);     // [B] ids that are already in the cache
    if (can_share(model_, requests_)) {
      groups = read_beginnings();
      for (size_t b = 0; b < requests_.size(); ++b) cuts[b] = beginning_of(requests_[b]);
    }
    std::vector<SampleIds> rest;
    std::vector<at::Tensor> pictures;
    int64_t longest = 0;
    for (size_t b = 0; b < requests_.size(); ++b) {
      const auto& ids = requests_[b].ids;
      rest.push_back({.ids = {ids.begin() + static_cast<std::ptrdiff_t>(cuts[b]), ids.end()}, .labels = {}});
      if (cuts[b] == 0 && requests_[b].features.defined()) pictures.push_back(requests_[b].features);
      longest = std::max(longest, positions_of(model_, rest.back().ids));
      rows_.push_back(b);
    }
    cache_ = cache_.length > 0 ? select_rows(decoder_, cache_, groups, cache_.length + longest + most_)
                               : decoder_.make_cache(std::ssize(requests_), longest + most_);
    next_.assign(rows_.size(), 0);
    ended_.assign(rows_.size(), false);
    return decoder_.logits(forward(rest, pictures));
  }

  // Puts each different beginning into the cache, as a row; the row of each request.
  std::vector<int64_t> read_beginnings() {
    std::vector<size_t> firsts;  // [G] requests
    std::vector<int64_t> groups;
    std::vector<SampleIds> beginnings;
    std::vector<at::Tensor> pictures;
    for (size_t b = 0; b < requests_.size(); ++b) {
      const auto same = std::find_if(firsts.begin(), firsts.end(), [&](size_t first) {
        return begin_alike(requests_[first], requests_[b]);
      });
      groups.push_back(same - firsts.begin());
      const auto cut = static_cast<std::ptrdiff_t>(beginning_of(requests_[b]));
      const auto begin = requests_[b].ids.begin();
      if (same == firsts.end()) {
        firsts.push_back(b);
        beginnings.push_back({.ids = {begin, begin + cut}, .labels = {}});
        pictures.push_back(requests_[b].features);
      } else {
        writers_[b].result().reused_positions = positions_of(model_, {begin, begin + cut});
      }
    }
    int64_t longest = 0;
    for (const SampleIds& sample : beginnings) longest = std::max(longest, positions_of(model_, sample.ids));
    cache_ = decoder_.make_cache(std::ssize(beginnings), longest);
    forward(beginnings, pictures);
    return groups;
  }

  // Appends samples to the cache's rows and returns what the last position of each became: [R, H].
  at::Tensor forward(const std::vector<SampleIds>& samples, const std::vector<at::Tensor>& pictures) {
    const at::Tensor visual = pictures.empty() ? at::Tensor() : model_.project(at::cat(pictures, 0));
    const Spliced spliced = splice(decoder_, samples, visual, PaddingSide::Left);
    DecoderRun run;
    run.moe = requests_[0].moe;
    run.cache = &cache_;
    run.lengths = spliced.lengths;
    run.padding = PaddingSide::Left;
    const at::Tensor hidden = decoder_.forward(spliced.embeddings, run).hidden;
    return hidden.select(1, hidden.size(1) - 1);
  }

  // Gives every waiting request its next token.
  void write(const at::Tensor& logits, const std::function<void(size_t, const GenerateResult&)>& on_answer) {
    const at::Tensor rows = logits.cpu().contiguous();
    // Rows of the vocabulary beyond the tokenizer are padding and can never be chosen.
    const auto choices = static_cast<size_t>(std::min<int64_t>(tokenizer_.size(), rows.size(1)));
    for (size_t r = 0; r < rows_.size(); ++r) {
      AnswerWriter& writer = writers_[rows_[r]];
      if (writer.wants_more()) {
        const float* values = rows.data_ptr<float>() + static_cast<int64_t>(r) * rows.size(1);
        const int32_t id = sample({values, choices}, requests_[rows_[r]].sampling, writer.size());
        writer.push(id);
        next_[r] = id;
      }
      if (!writer.wants_more() && !ended_[rows_[r]]) {
        ended_[rows_[r]] = true;
        writer.finish();
        if (on_answer) on_answer(rows_[r], writer.result());
      }
    }
  }

  bool any_waiting() const {
    return std::any_of(writers_.begin(), writers_.end(),
                       [](const AnswerWriter& w) { return w.wants_more(); });
  }

  // Rows whose requests have their answers go, once they are half of all: each time the others are copied.
  void leave() {
    std::vector<int64_t> waiting;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (writers_[rows_[r]].wants_more()) waiting.push_back(static_cast<int64_t>(r));
    }
    if (2 * waiting.size() > rows_.size()) return;
    cache_ = select_rows(decoder_, cache_, waiting, cache_.capacity);
    for (size_t i = 0; i < waiting.size(); ++i) {
      rows_[i] = rows_[static_cast<size_t>(waiting[i])];
      next_[i] = next_[static_cast<size_t>(waiting[i])];
    }
    rows_.resize(waiting.size());
    next_.resize(waiting.size());
  }

  at::Tensor next_logits() {
    DecoderRun run;
    run.moe = requests_[0].moe;
    run.cache = &cache_;
    const at::Tensor ids = at::tensor(next_, at::kLong).unsqueeze(1);  // [R, 1]
    return decoder_.logits(decoder_.forward(decoder_.embed(ids), run).hidden.select(1, 0));
  }

  const MoeLlava& model_;
  const Decoder& decoder_;
  const Tokenizer& tokenizer_;
  std::span<const GenerateRequest> requests_;
  std::vector<AnswerWriter> writers_;  // [B]
  int64_t most_ = 0;                   // tokens of the longest answer that there may be
  KvCache cache_;
  std::vector<size_t> rows_;   // [R] requests; some may have ended
  std::vector<int64_t> next_;  // [R] their last tokens, which are run next
  std::vector<bool> ended_;    // [B] and its answer given out
};

}  // namespace

std::vector<GenerateResult> generate_batch(
    const MoeLlava& model, const Tokenizer& tokenizer, std::span<const GenerateRequest> requests,
    const std::function<void(size_t, const GenerateResult&)>& on_answer) {
  const at::NoGradGuard no_grad;
  if (requests.empty()) return {};
  return Batch(model, tokenizer, requests).run(on_answer);
}

}  // namespace moellava
