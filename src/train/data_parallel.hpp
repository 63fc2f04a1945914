// Training in several processes, each with its own micro-batches of every step. Gradients are added up in
// buckets while the backward pass goes on; each parameter has one owner, which alone has its optimiser state
// and updates it (ZeRO-1), and everybody who has the parameter gets the result. P trained parameters of this
// process, A of the whole model: with experts spread over processes, not every process has all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/background_queue.hpp"
#include "comm/communicator.hpp"
#include "model/tensor_communicator.hpp"
#include "train/adamw.hpp"
#include "train/buckets.hpp"
#include "train/gradient_tree.hpp"

namespace moellava {

// The micro-batches [begin, end) of a step that one process computes.
struct Share {
  size_t begin, end;
};
// Each rank takes `accumulation` in a row, the last of an epoch what there is. Whole blocks of a power of two
// continue the tree of sums: then the bits do not depend on the number of processes.
Share share_of(size_t micro_batches, size_t accumulation, int rank);

struct DataParallelOptions {
  int64_t bucket = 1 << 22;      // values that travel at once: 16 MiB
  at::Device memory = at::kCPU;  // where they lie on their way, as TensorCommunicator takes it
  // When experts are spread: the processes that have the same ones as this, and the names of all A parameters
  // in the model's order. nullptr: all processes have everything.
  Communicator* same_experts = nullptr;
  std::vector<std::string> all_names = {};
};

class DataParallel {
 public:
  // `parameters`: the trained ones, contiguous, in the model's order. Communicators must outlive it; buckets
  // travel through others made of them.
  DataParallel(Communicator& comm, std::vector<NamedParameter> parameters,
               const DataParallelOptions& options);
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  Communicator& comm() const { return comm_; }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  // The parameters that are this rank's to update.
  bool owns(size_t parameter) const;
  const std::vector<NamedParameter>& owned() const { return owned_; }
  // [A] of the whole model.
  const std::vector<std::string>& all_names() const { return all_names_; }

  void clear_gradients();
  // Backward from the loss of one micro-batch, [], already weighted; of the last one, gradients travel as
  // they come.
  void backward(const at::Tensor& loss, bool last);
  // Once a step, also in a rank without micro-batches. Then the owned parameters have the gradient of the
  // whole step, all others none.
  void finish_gradients();
  // The Euclidean norm of the step's gradient, the same everywhere, and the first parameter, in the model's
  // order, whose gradient is not finite.
  GradientNorm norm();
  // After the owners' update: everybody gets the new values.
  void share_parameters();
  // Values that belong to the parameters, from their owners to rank 0: `own` [owned()], `whole` [A], which
  // only rank 0 needs.
  void gather(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& whole);

 private:
  class Hook;
  // Processes that have the same parameters. One by itself has nothing to share.
  struct Group {
    Communicator* comm;
    std::unique_ptr<TensorCommunicator> gradients;  // the background thread's
    std::unique_ptr<TensorCommunicator> values;
    std::vector<size_t> parameters;  // numbers of this process's
  };
  struct GroupBucket {
    const Group* group;
    Bucket bucket;
  };

  void make_groups(const DataParallelOptions& options);
  static Group make_group(Communicator& comm, at::Device memory);
  void add_buckets(const Group& group, int64_t limit);
  void learn_owners();
  // The gradient of this rank is whole: buckets that waited for it alone go.
  void ready(size_t parameter);
  void send_ready_buckets();
  at::Tensor pack_gradients(const GroupBucket& bucket);
  void sum_up(const GroupBucket& bucket, const at::Tensor& values);
  // The values that are this rank's part of a bucket.
  at::Tensor pack_owned(const GroupBucket& bucket) const;

  Communicator& comm_;
  std::vector<NamedParameter> parameters_;  // [P]
  std::vector<at::Tensor> values_;          // [P] their memory
  std::vector<std::string> all_names_;      // [A]
  std::vector<size_t> number_;              // [P] of each in all_names_
  std::vector<Group> groups_;
  std::vector<const Group*> group_of_;  // [P]
  std::vector<int> owners_;             // [P] rank in its group
  std::vector<NamedParameter> owned_;
  std::vector<size_t> owned_number_;    // [owned()] in all_names_
  std::vector<at::Tensor> own_values_;  // [owned()] their memory
  std::vector<size_t> place_;           // [P] of an owned one in owned_
  std::vector<int> owner_rank_;         // [A] rank among all processes
  std::vector<int64_t> numel_;          // [A]

  GradientTree tree_;
  std::vector<GroupBucket> buckets_;
  std::vector<std::vector<size_t>> buckets_of_;  // [P]
  int64_t limit_;
  // Of the step: which gradients are whole, how many pieces each bucket waits for, and which one goes next:
  // all ranks send them in one order.
  bool last_ = false;
  std::vector<bool> ready_;      // [P]
  std::vector<size_t> missing_;  // [buckets]
  size_t next_ = 0;
  BackgroundQueue queue_;
};

}  // namespace moellava
