#include "train/sharded_state.hpp"

namespace moellava {

namespace {

// In the order of `names`, which is the model's.
std::vector<NamedParameter> parameters_named(MoeLlava& model, const std::vector<std::string>& names) {
  std::vector<NamedParameter> parameters;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    if (parameters.size() < names.size() && names[parameters.size()] == name)
      parameters.push_back({name, tensor});
  });
  return parameters;
}

}  // namespace

std::unique_ptr<AdamW> gather_optimiser(DataParallel& parallel, AdamW& own, MoeLlava& model,
                                        ExpertParallel& experts) {
  experts.collect();
  std::unique_ptr<AdamW> whole;
  const std::vector<at::Tensor> none;
  if (parallel.comm().rank() == 0) {
    whole = std::make_unique<AdamW>(parameters_named(model, parallel.all_names()), AdamWOptions{});
    whole->set_updates(own.updates());
  }
  parallel.gather(own.first_moments(), whole ? whole->first_moments() : none);
  parallel.gather(own.second_moments(), whole ? whole->second_moments() : none);
  return whole;
}

void restore_own(const FoundCheckpoint& checkpoint, DataParallel& parallel, AdamW& own) {
  restore_checkpoint(checkpoint, parallel.parameters(), parallel.all_names().size(), own);
}

}  // namespace moellava
