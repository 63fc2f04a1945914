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

// `piece` of a contiguous tensor.
at::Tensor part_of(const at::Tensor& tensor, const Piece& piece) {
  return tensor.view({-1}).narrow(0, piece.begin, piece.count);
}

// Room for the values of one owner's pieces or of all, [N].
at::Tensor room_for(int64_t count, at::Device memory) {
  return at::empty({count}, at::TensorOptions(at::kFloat).device(memory));
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
  groups_.push_back(make_group(comm_, options.memory));
  if (options.same_experts != nullptr) groups_.push_back(make_group(*options.same_experts, options.memory));
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

DataParallel::Group DataParallel::make_group(Communicator& comm, at::Device memory) {
  Group group{.comm = &comm, .gradients = nullptr, .values = nullptr, .parameters = {}};
  if (comm.size() == 1) return group;
  group.gradients = std::make_unique<TensorCommunicator>(comm, memory);
  group.values = std::make_unique<TensorCommunicator>(comm, memory);
  return group;
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
at::Tensor DataParallel::pack_gradients(const GroupBucket& bucket) {
  const at::NoGradGuard no_grad;
  const auto& counts = bucket.bucket.counts;
  const at::Tensor values =
      room_for(std::accumulate(counts.begin(), counts.end(), int64_t{0}), bucket.group->gradients->memory());
  int64_t begin = 0;
  for (const Piece& piece : bucket.bucket.pieces) {
    at::Tensor& gradient = parameters_[piece.parameter].tensor.mutable_grad();
    const at::Tensor to = values.narrow(0, begin, piece.count);
    if (gradient.defined()) {
      if (!gradient.is_contiguous()) gradient = gradient.contiguous();
      to.copy_(part_of(gradient, piece));
    } else {
      to.zero_();
      if (owns(piece.parameter)) gradient = at::zeros_like(values_[piece.parameter]);
    }
    begin += piece.count;
    const bool end = piece.begin + piece.count == values_[piece.parameter].numel();
    if (end && !owns(piece.parameter)) gradient.reset();
  }
  return values;
}

void DataParallel::sum_up(const GroupBucket& bucket, const at::Tensor& values) {
  const at::NoGradGuard no_grad;
  const at::Tensor own = bucket.group->gradients->reduce_scatter(values, bucket.bucket.counts);
  int64_t begin = 0;
  for (const Piece& piece : bucket.bucket.pieces) {
    if (!owns(piece.parameter)) continue;
    part_of(parameters_[piece.parameter].tensor.grad(), piece).copy_(own.narrow(0, begin, piece.count));
    begin += piece.count;
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
  const at::NoGradGuard no_grad;
  for (const GroupBucket& bucket : buckets_) {
    const at::Tensor values = bucket.group->values->all_gather(pack_owned(bucket), bucket.bucket.counts);
    int64_t begin = 0;
    for (const Piece& piece : bucket.bucket.pieces) {
      if (!owns(piece.parameter))
        part_of(values_[piece.parameter], piece).copy_(values.narrow(0, begin, piece.count));
      begin += piece.count;
    }
  }
}

at::Tensor DataParallel::pack_owned(const GroupBucket& bucket) const {
  const TensorCommunicator& comm = *bucket.group->values;
  const at::Tensor values = room_for(bucket.bucket.counts[static_cast<size_t>(comm.rank())], comm.memory());
  int64_t begin = 0;
  for (const Piece& piece : bucket.bucket.pieces) {
    if (!owns(piece.parameter)) continue;
    values.narrow(0, begin, piece.count).copy_(part_of(values_[piece.parameter], piece));
    begin += piece.count;
  }
  return values;
}

// Over the host's communicator, a part at a time: what is gathered is written to files.
void DataParallel::gather(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& whole) {
  const at::NoGradGuard no_grad;
  const auto ranks = static_cast<size_t>(comm_.size());
  size_t next = 0;  // in `own`
  for (size_t a = 0; a < all_names_.size(); ++a) {
    const bool mine = owner_rank_[a] == comm_.rank();
    const bool first = comm_.rank() == 0;
    const at::Tensor from = mine ? own[next++] : at::Tensor();
    for (int64_t begin = 0; begin < numel_[a]; begin += limit_) {
      const Piece piece{.parameter = a, .begin = begin, .count = std::min(limit_, numel_[a] - begin)};
      const size_t bytes = static_cast<size_t>(piece.count) * sizeof(float);
      std::vector<size_t> send(ranks, 0), receive(ranks, 0);
      at::Tensor sent = at::empty({0}), received = at::empty({0});
      if (mine) {
        send[0] = bytes;
        sent = part_of(from, piece).cpu();
      }
      if (first) {
        receive[static_cast<size_t>(owner_rank_[a])] = bytes;
        received = whole[a].is_cpu() ? part_of(whole[a], piece) : room_for(piece.count, at::kCPU);
      }
      comm_.all_to_all(bytes_of(sent), send, bytes_of(received), receive);
      if (first && !whole[a].is_cpu()) part_of(whole[a], piece).copy_(received);
    }
  }
}

}  // namespace moellava
