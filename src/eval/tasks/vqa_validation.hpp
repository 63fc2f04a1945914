// VQAv2's validation set, whose truth is published: the official question and annotation files. The server of
// the other sets scores the same way.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& vqav2_val_task();

}  // namespace moellava
