// Traces as safetensors, which Python reads with the package of that name. S samples, T tokens, L MoE layers,
// K choices, E experts, V different words, B bytes of these:
//   routed_experts        I16 [T, L, K]  from 0, best first, also when dropped
//   routed_weights        F32 [T, L, K]  0 when dropped
//   dropped               U8  [T, L, K]  1: the expert was full
//   router_probabilities  F32 [T, L, E]  the router's softmax; 0 behind the last expert of a smaller layer
//   token_sample          I32 [T]        from 0, ascending
//   token_position        I32 [T]        in its sample, from 0
//   token_id              I32 [T]        of the tokenizer, -200 for a patch
//   token_modality        U8  [T]        0 text, 1 image
//   token_picture         I32 [T]        which picture of its sample, from 0; -1 for text
//   token_patch           I32 [T]        which visual token of that picture, from 0; -1 for text
//   token_answer          U8  [T]        1: written by the model
//   vocabulary_id         I32 [V]        the ids that occur, ascending
//   vocabulary_end        I64 [V]        where the bytes of each end in vocabulary_bytes
//   vocabulary_bytes      U8  [B]
// and as metadata `format` ("moe-llava routing trace 1"), `model` and `samples`, JSON (docs/formats.md).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "routing/trace.hpp"

namespace moellava {

void write_trace(const std::filesystem::path& path, const RoutingTrace& trace);

// Throws BadData naming the file and the tensor or field for anything that write_trace would not have
// written.
RoutingTrace read_trace(const std::filesystem::path& path);
// The same over bytes in memory; `where` names them in errors.
RoutingTrace parse_trace(std::span<const std::byte> bytes, const std::string& where);

}  // namespace moellava
