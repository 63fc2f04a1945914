// POPE: is an object in the picture? Questions in LLaVA's JSON lines, whose category is random, popular or
// adversarial; the labels in a folder with coco_pope_<category>.json, JSON lines in the same order.
#pragma once

#include "eval/task.hpp"

namespace moellava {

const Task& pope_task();

// What LLaVA's script takes an answer for: no when the words of its first sentence hold "No", "no" or "not".
bool pope_says_no(std::string_view answer);

}  // namespace moellava
