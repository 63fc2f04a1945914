#include "train/data_parallel.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "comm/collectives.hpp"
#include "model/weights.hpp"

namespace moellava {

namespace {

float* values_of(const at::Tensor& tensor) {
  return static_cast<float*>(tensor.data_ptr());
}

// `count` values of a tensor, wherever it is, from the one numbered `begin` on.
void take_values(const at::Tensor& from, int64_t begin, int64_t count, float* to) {
  if (from.is_cpu()) {
    std::copy_n(values_of(from) + begin, count, to);
  } else {
    at::from_blob(to, {count}, at::kFloat).copy_(from.view({-1}).narrow(0, begin, count));
  }
}
void put_values(const float* from, int64_t count, const at::Tensor& to, int64_t begin) {
  if (to.is_cpu()) {
    std::copy_n(from, count, values_of(to) + begin);
  } else {
    to.view({-1}).narrow(0, begin, count).copy_(at::from_blob(const_cast<float*>(from), {count}, at::kFloat));
  }
}

std::vector<size_t> in_bytes(const std::vector<size_t>& counts) {
  std::vector<size_t> bytes;
  for (size_t count : counts) bytes.push_back(count * sizeof(float));
  return bytes;
}

size_t total(const std::vector<size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

}  // namespace

Share share_of(size_t micro_batches, size_t accumulation, int rank) {
  const size_t begin = std::min(static_cast<size_t>(rank) * accumulation, micro_batches);
  return {.begin = begin, .end = std::min(begin + accumulation, micro_batches)};
}

class DataParallel::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(DataParallel& owner, size_t parameter) : owner_(owner), parameter_(parameter) {}
  void operator()(const at::Tensor& /*parameter*/) override {
    if (owner_.last_) owner_.ready(parameter_);
  }

 private:
  DataParallel& owner_;
  size_t parameter_;
};

DataParallel::DataParallel(Communicator& comm, std::vector<NamedParameter> parameters,
                           const DataParallelOptions& options)
    : comm_(comm),
      parameters_(std::move(parameters)),
      all_names_(options.all_names),
      limit_(options.bucket),
      ready_(parameters_.size()) {
  for (const NamedParameter& parameter : parameters_) {
    values_.push_back(parameter.tensor.detach());
    if (options.same_experts == nullptr) all_names_.push_back(parameter.name);
  }
  make_groups(options);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    place_.push_back(owned_.size());
    if (!owns(p)) continue;
    owned_.push_back(parameters_[p]);
    owned_number_.push_back(number_[p]);
    own_values_.push_back(values_[p]);
  }
  learn_owners();
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (!buckets_of_[p].empty())
      torch::autograd::impl::set_post_acc_grad_hooks(parameters_[p].tensor, std::make_unique<Hook>(*this, p));
  }
}

DataParallel::~DataParallel() {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (!buckets_of_[p].empty())
      torch::autograd::impl::set_post_acc_grad_hooks(parameters_[p].tensor, nullptr);
  }
}

void DataParallel::make_groups(const DataParallelOptions& options) {
  groups_.push_back({.comm = &comm_, .buckets = comm_.split(0), .parameters = {}});
  if (options.same_experts != nullptr) {
    groups_.push_back(
        {.comm = options.same_experts, .buckets = options.same_experts->split(0), .parameters = {}});
  }
  std::unordered_map<std::string, size_t> numbers;
  for (size_t a = 0; a < all_names_.size(); ++a) numbers.emplace(all_names_[a], a);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const std::string& name = parameters_[p].name;
    Group& group = is_expert_parameter(name) ? groups_.back() : groups_.front();
    group.parameters.push_back(p);
    group_of_.push_back(&group);
    number_.push_back(numbers.at(name));
  }
  owners_.resize(parameters_.size());
  buckets_of_.resize(parameters_.size());
  for (const Group& group : groups_) add_buckets(group, options.bucket);
  // One order for all groups, the same in all processes, as they all have as many parameters of each shape.
  const auto last = [](const GroupBucket& bucket) {
    size_t parameter = 0;
    for (const Piece& piece : bucket.bucket.pieces) parameter = std::max(parameter, piece.parameter);
    return parameter;
  };
  std::stable_sort(buckets_.begin(), buckets_.end(),
                   [&](const GroupBucket& a, const GroupBucket& b) { return last(a) > last(b); });
  for (size_t b = 0; b < buckets_.size(); ++b) {
    for (const Piece& piece : buckets_[b].bucket.pieces) buckets_of_[piece.parameter].push_back(b);
  }
}

void DataParallel::add_buckets(const Group& group, int64_t limit) {
  std::vector<int64_t> sizes;
  for (size_t p : group.parameters) sizes.push_back(values_[p].numel());
  const std::vector<int> owners = balanced_owners(sizes, group.comm->size());
  for (size_t i = 0; i < owners.size(); ++i) owners_[group.parameters[i]] = owners[i];
  if (group.comm->size() == 1) return;
  for (Bucket& bucket : make_buckets(sizes, owners, group.comm->size(), limit)) {
    for (Piece& piece : bucket.pieces) piece.parameter = group.parameters[piece.parameter];
    buckets_.push_back({.group = &group, .bucket = std::move(bucket)});
  }
}

// Everybody learns who has what.
void DataParallel::learn_owners() {
  std::vector<int64_t> own;  // number and size of each
  for (size_t i = 0; i < owned_.size(); ++i) {
    own.push_back(static_cast<int64_t>(owned_number_[i]));
    own.push_back(own_values_[i].numel());
  }
  owner_rank_.resize(all_names_.size());
  numel_.resize(all_names_.size());
  int rank = 0;
  for (const std::vector<int64_t>& list : all_gather_lists(comm_, own)) {
    for (size_t i = 0; i < list.size(); i += 2) {
      owner_rank_[static_cast<size_t>(list[i])] = rank;
      numel_[static_cast<size_t>(list[i])] = list[i + 1];
    }
    ++rank;
  }
}

bool DataParallel::owns(size_t parameter) const {
  return owners_[parameter] == group_of_[parameter]->comm->rank();
}

void DataParallel::clear_gradients() {
  for (NamedParameter& parameter : parameters_) parameter.tensor.mutable_grad().reset();
  tree_.clear();
  std::fill(ready_.begin(), ready_.end(), false);
  missing_.clear();
  for (const GroupBucket& bucket : buckets_) missing_.push_back(bucket.bucket.pieces.size());
  next_ = 0;
}

void DataParallel::backward(const at::Tensor& loss, bool last) {
  last_ = last;
  // Nothing of stage 1 is on the way of samples without pictures.
  if (loss.requires_grad()) torch::autograd::backward({loss}, {});
  if (!last) tree_.add(parameters_);
}

void DataParallel::finish_gradients() {
  last_ = false;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (!ready_[p]) ready(p);  // no gradient came, or nobody else waits for it
  }
  queue_.wait();
  tree_.clear();
}

void DataParallel::ready(size_t parameter) {
  tree_.finish(parameters_[parameter], parameter);
  ready_[parameter] = true;
  for (size_t bucket : buckets_of_[parameter]) --missing_[bucket];
  send_ready_buckets();
}

void DataParallel::send_ready_buckets() {
  for (; next_ < buckets_.size() && missing_[next_] == 0; ++next_) {
    const GroupBucket& bucket = buckets_[next_];
    queue_.add([this, &bucket, values = pack_gradients(bucket)] { sum_up(bucket, values); });
  }
}

// This rank's gradients, one owner's behind the other's. What is not its own is no more needed then.
std::vector<float> DataParallel::pack_gradients(const GroupBucket& bucket) {
  const at::NoGradGuard no_grad;
  std::vector<float> values(total(bucket.bucket.counts), 0.0f);
  float* to = values.data();
  for (const Piece& piece : bucket.bucket.pieces) {
    at::Tensor& gradient = parameters_[piece.parameter].tensor.mutable_grad();
    if (gradient.defined()) {
      if (!gradient.is_contiguous()) gradient = gradient.contiguous();
      take_values(gradient, piece.begin, piece.count, to);
    } else if (owns(piece.parameter)) {
      gradient = at::zeros_like(values_[piece.parameter]);
    }
    to += piece.count;
    const bool end = piece.begin + piece.count == values_[piece.parameter].numel();
    if (end && !owns(piece.parameter)) gradient.reset();
  }
  return values;
}

void DataParallel::sum_up(const GroupBucket& bucket, const std::vector<float>& values) {
  std::vector<float> own(bucket.bucket.counts[static_cast<size_t>(bucket.group->comm->rank())]);
  reduce_scatter(*bucket.group->buckets, values, bucket.bucket.counts, own);
  const float* from = own.data();
  for (const Piece& piece : bucket.bucket.pieces) {
    if (!owns(piece.parameter)) continue;
    put_values(from, piece.count, parameters_[piece.parameter].tensor.grad(), piece.begin);
    from += piece.count;
  }
}

GradientNorm DataParallel::norm() {
  // Each owner's norms, put back into the model's order.
  struct NumberedNorm {
    size_t number;
    double value;
  };
  const std::vector<double> own = gradient_norms(owned_);
  std::vector<NumberedNorm> numbered;
  for (size_t i = 0; i < own.size(); ++i) numbered.push_back({.number = owned_number_[i], .value = own[i]});
  std::vector<double> norms(all_names_.size());
  for (const std::vector<NumberedNorm>& list : all_gather_lists(comm_, numbered)) {
    for (const NumberedNorm& norm : list) norms[norm.number] = norm.value;
  }
  return join_norms(all_names_, norms);
}

void DataParallel::share_parameters() {
  for (const GroupBucket& bucket : buckets_) {
    const std::vector<float> own = pack_owned(bucket, own_values_);
    std::vector<float> values(total(bucket.bucket.counts));
    bucket.group->comm->all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(values)),
                                   in_bytes(bucket.bucket.counts));
    const float* from = values.data();
    for (const Piece& piece : bucket.bucket.pieces) {
      if (!owns(piece.parameter)) put_values(from, piece.count, values_[piece.parameter], piece.begin);
      from += piece.count;
    }
  }
}

std::vector<float> DataParallel::pack_owned(const GroupBucket& bucket,
                                            const std::vector<at::Tensor>& tensors) const {
  std::vector<float> values;
  for (const Piece& piece : bucket.bucket.pieces) {
    if (!owns(piece.parameter)) continue;
    const size_t end = values.size();
    values.resize(end + static_cast<size_t>(piece.count));
    take_values(tensors[place_[piece.parameter]], piece.begin, piece.count, values.data() + end);
  }
  return values;
}

void DataParallel::gather(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& whole) {
  const auto ranks = static_cast<size_t>(comm_.size());
  size_t next = 0;  // in `own`
  for (size_t a = 0; a < all_names_.size(); ++a) {
    const bool mine = owner_rank_[a] == comm_.rank();
    const bool first = comm_.rank() == 0;
    const at::Tensor from = mine ? own[next++] : at::Tensor();
    for (int64_t begin = 0; begin < numel_[a]; begin += limit_) {
      const int64_t count = std::min(limit_, numel_[a] - begin);
      const size_t bytes = static_cast<size_t>(count) * sizeof(float);
      std::vector<size_t> send(ranks, 0), receive(ranks, 0);
      std::vector<float> sent(static_cast<size_t>(mine ? count : 0));
      std::vector<float> received(static_cast<size_t>(first ? count : 0));
      if (mine) {
        send[0] = bytes;
        take_values(from, begin, count, sent.data());
      }
      if (first) receive[static_cast<size_t>(owner_rank_[a])] = bytes;
      comm_.all_to_all(std::as_bytes(std::span(sent)), send, std::as_writable_bytes(std::span(received)),
                       receive);
      if (first) put_values(received.data(), count, whole[a], begin);
    }
  }
}

}  // namespace moellava
