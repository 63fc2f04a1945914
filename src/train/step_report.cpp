#include "train/step_report.hpp"

#include <concepts>
#include <cstring>
#include <span>
#include <type_traits>

#include "comm/collectives.hpp"

namespace moellava {

namespace {

// The fields that travel.
template <typename Each>
void for_each_field(std::convertible_to<const BadStep&> auto& bad, Each& each) {
  each(bad.what);
  each(bad.tensor);
  each(bad.samples);
}
template <typename Each>
void for_each_field(std::convertible_to<const ExpertLoad&> auto& load, Each& each) {
  each(load.tokens);
  each(load.chosen);
  each(load.dropped);
  each(load.entropy);
}
template <typename Each>
void for_each_field(std::convertible_to<const LayerLoads&> auto& loads, Each& each) {
  for_each_field(loads.text, each);
  for_each_field(loads.image, each);
}
template <typename Each>
void for_each_field(std::convertible_to<const StepReport&> auto& report, Each& each) {
  each(report.loss);
  each(report.aux_loss);
  each(report.z_loss);
  each(report.tokens);
  each(report.expert_choices);
  each(report.dropped);
  each(report.loads);
  each(report.bad);
}

// Everything as bytes, one field behind the other.
class Writer {
 public:
  template <typename T>
  void operator()(const T& value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void operator()(const std::string& text) { list(text); }
  template <typename T>
  void operator()(const std::vector<T>& items) {
    list(items);
  }
  void operator()(const LayerLoads& loads) { for_each_field(loads, *this); }
  void operator()(const std::optional<BadStep>& bad) {
    (*this)(bad.has_value());
    if (bad) for_each_field(*bad, *this);
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  template <typename List>
  void list(const List& items) {
    (*this)(items.size());
    for (const auto& item : items) (*this)(item);
  }

  std::vector<char> bytes_;
};

// Of what Writer wrote in a process of the same program.
class Reader {
 public:
  explicit Reader(std::span<const char> bytes) : bytes_(bytes) {}
  template <typename T>
  void operator()(T& value) {
    static_assert(std::is_arithmetic_v<T>);
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
  }
  void operator()(std::string& text) { list(text); }
  template <typename T>
  void operator()(std::vector<T>& items) {
    list(items);
  }
  void operator()(LayerLoads& loads) { for_each_field(loads, *this); }
  void operator()(std::optional<BadStep>& bad) {
    bool there = false;
    (*this)(there);
    if (there) for_each_field(bad.emplace(), *this);
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  template <typename List>
  void list(List& items) {
    size_t size = 0;
    (*this)(size);
    items.resize(size);
    for (auto& item : items) (*this)(item);
  }

  std::span<const char> bytes_;
};

void add_to(std::vector<int64_t>& sum, const std::vector<int64_t>& other) {
  sum.resize(other.size());
  for (size_t i = 0; i < other.size(); ++i) sum[i] += other[i];
}

}  // namespace

std::vector<StepReport> gather_reports(Communicator& comm, const std::vector<StepReport>& own) {
  Writer writer;
  for (const StepReport& report : own) for_each_field(report, writer);
  std::vector<StepReport> reports;
  for (const std::vector<char>& bytes : all_gather_lists(comm, writer.bytes())) {
    Reader reader(bytes);
    while (!reader.at_end()) for_each_field(reports.emplace_back(), reader);
  }
  return reports;
}

StepReport join_reports(const std::vector<StepReport>& parts) {
  StepReport sum;
  const double share = 1.0 / static_cast<double>(parts.size());
  for (const StepReport& part : parts) {
    sum.loss += part.loss * share;
    sum.aux_loss += part.aux_loss * share;
    sum.z_loss += part.z_loss * share;
    sum.tokens += part.tokens;
    if (part.bad && !sum.bad) sum.bad = part.bad;
    add_to(sum.dropped, part.dropped);
    sum.expert_choices.resize(part.expert_choices.size());
    for (size_t layer = 0; layer < part.expert_choices.size(); ++layer)
      add_to(sum.expert_choices[layer], part.expert_choices[layer]);
    sum.loads.resize(part.loads.size());
    for (size_t layer = 0; layer < part.loads.size(); ++layer) sum.loads[layer] += part.loads[layer];
  }
  return sum;
}

}  // namespace moellava
