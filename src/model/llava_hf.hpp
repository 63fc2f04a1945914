// config.json of transformers' LlavaForConditionalGeneration ("llava-hf"): a text_config and a vision_config
// instead of one flat list of fields.
#pragma once

#include "model/config.hpp"

namespace moellava {

bool is_llava_hf(const JsonObject& config);
// Family, decoder, vision and projector. What transformers leaves out because it is a class's default is
// filled in.
ModelConfig read_llava_hf(const JsonObject& config);

}  // namespace moellava
