// Checkpoints of a run whose optimiser state is spread over processes: they look like those of one process,
// so that any number of processes can go on from them.
#pragma once

#include <memory>

#include "train/checkpoint.hpp"
#include "train/data_parallel.hpp"
#include "train/expert_parallel.hpp"

namespace moellava {

// All parameters of the whole model and their state, in rank 0; nothing in the others. `own` has the state of
// the owned ones. The model is whole in rank 0 until experts.forget_others(). Collective.
std::unique_ptr<AdamW> gather_optimiser(DataParallel& parallel, AdamW& own, MoeLlava& model,
                                        ExpertParallel& experts);

// The parameters of this process, and the state of the owned ones.
void restore_own(const FoundCheckpoint& checkpoint, DataParallel& parallel, AdamW& own);

}  // namespace moellava
