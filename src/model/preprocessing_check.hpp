// preprocessor_config.json: what it may say besides sizes and colours.
#pragma once

#include "base/json.hpp"
#include "image/image.hpp"

namespace moellava {

// Throws BadData for a step that the file leaves out or does in another way than image/preprocess: with it a
// picture would come out differently.
void check_preprocessing(const JsonObject& json, const PreprocessConfig& config);

}  // namespace moellava
