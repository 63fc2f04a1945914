// A trace as the columns of its file (trace_file.hpp); only the two halves of that file's format need it.
#pragma once

#include <string_view>

#include "files/tensor_file.hpp"

namespace moellava::trace_format {

inline constexpr std::string_view kFormat = "moe-llava routing trace 1";

struct Column {
  const char* name;
  DType dtype;
};
inline constexpr Column kExperts{"routed_experts", DType::I16};
inline constexpr Column kWeights{"routed_weights", DType::F32};
inline constexpr Column kDropped{"dropped", DType::U8};
inline constexpr Column kProbabilities{"router_probabilities", DType::F32};
inline constexpr Column kSample{"token_sample", DType::I32};
inline constexpr Column kPosition{"token_position", DType::I32};
inline constexpr Column kId{"token_id", DType::I32};
inline constexpr Column kModality{"token_modality", DType::U8};
inline constexpr Column kPicture{"token_picture", DType::I32};
inline constexpr Column kPatch{"token_patch", DType::I32};
inline constexpr Column kAnswer{"token_answer", DType::U8};
inline constexpr Column kVocabularyId{"vocabulary_id", DType::I32};
inline constexpr Column kVocabularyEnd{"vocabulary_end", DType::I64};
inline constexpr Column kVocabularyBytes{"vocabulary_bytes", DType::U8};

}  // namespace moellava::trace_format
