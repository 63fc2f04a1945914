// `moe-llava inspect`: what a model folder holds, and whether it would load.
#include <algorithm>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/string_printf.hpp"
#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "model/inspection.hpp"
#include "model/projector.hpp"

namespace moellava {

namespace {

struct InspectFlags {
  std::string model;
  std::string model_base;
  std::string vision_tower;
  std::string mm_projector;
  bool json = false;
  bool check = false;
};

// 5296993280 -> "5,296,993,280"
std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string grouped(int64_t number) {
  return grouped(static_cast<uint64_t>(number));
}

const char* tower_kind(const VisionConfig& vision) {
  switch (vision.kind) {
    case TowerKind::Clip:
      return "clip";
    case TowerKind::Siglip:
      return "siglip";
    case TowerKind::EfficientNetLite0:
      return "efficientnet-lite0";
  }
  return "";
}

Json inspection_json(const Inspection& inspection) {
  const ParameterCount& count = inspection.parameters;
  Json json = {{"loads", inspection.problems.empty()},
               {"problems", inspection.problems},
               {"bytes", inspection.bytes},
               {"tensors", inspection.tensors},
               {"dtypes", inspection.bytes_of_dtype}};
  if (inspection.tokens) json["tokens"] = *inspection.tokens;
  if (inspection.adapter) {
    const InspectedAdapter& adapter = *inspection.adapter;
    json["adapter"] = {{"base", adapter.base.string()},
                       {"r", adapter.settings.rank},
                       {"lora_alpha", adapter.settings.alpha},
                       {"parameters", adapter.parameters}};
  }
  if (!inspection.config) return json;
  const ModelConfig& config = *inspection.config;
  const DecoderConfig& decoder = config.decoder;
  json["family"] = config.family;
  json["conversation"] = config.conversation;
  json["unread_fields"] = config.unread_fields;
  json["decoder"] = {{"hidden_size", decoder.hidden_size}, {"intermediate_size", decoder.intermediate_size},
                     {"layers", decoder.layers},           {"heads", decoder.heads},
                     {"kv_heads", decoder.kv_heads},       {"vocab_size", decoder.vocab_size}};
  if (config.moe.enabled()) json["moe"] = write_moe_config(config.moe);
  if (config.vision) {
    const VisionConfig& vision = *config.vision;
    json["vision"] = {{"name", vision.name},
                      {"kind", tower_kind(vision)},
                      {"image_size", vision.image_size},
                      {"tokens", image_tokens(config)},
                      {"hidden_size", vision.hidden_size}};
    json["projector"] = config.projector;
  }
  json["parameters"] = {{"total", count.total},
                        {"active", count.active},
                        {"decoder_total", count.decoder_total},
                        {"decoder_active", count.decoder_active}};
  return json;
}

std::string experts_line(const MoeConfig& moe) {
  if (!moe.enabled()) return "none: a dense model";
  std::string layers;
  for (size_t i = 0; i < moe.layers.size() && i < 4; ++i)
    layers += (i ? ", " : "") + std::to_string(moe.layers[i]);
  if (moe.layers.size() > 4) layers += ", ..., " + std::to_string(moe.layers.back());
  const auto [fewest, most] = std::minmax_element(moe.experts.begin(), moe.experts.end());
  const std::string experts =
      *fewest == *most ? std::to_string(*most) : std::to_string(*fewest) + " to " + std::to_string(*most);
  return string_printf("%s in each of %zu layers (%s), top %lld, capacity %g in training, %g after",
                       experts.c_str(), moe.layers.size(), layers.c_str(), static_cast<long long>(moe.top_k),
                       moe.capacity_factor, moe.eval_capacity_factor);
}

void print_config(const ModelConfig& config) {
  const DecoderConfig& decoder = config.decoder;
  std::cout << "family      " << config.family << ", " << decoder.layers << " layers of "
            << decoder.hidden_size << ", " << decoder.heads << " heads (" << decoder.kv_heads
            << " of keys), vocabulary " << grouped(decoder.vocab_size) << "\n"
            << "experts     " << experts_line(config.moe) << "\n";
  if (!config.vision) {
    std::cout << "vision      none: text only\n";
    return;
  }
  const VisionConfig& vision = *config.vision;
  std::cout << "vision      " << printable(vision.name) << " (" << tower_kind(vision) << "), "
            << vision.image_size << " px, " << vision.tokens() << " tokens of " << vision.hidden_size << "\n"
            << "projector   " << config.projector << ", " << image_tokens(config) << " tokens of "
            << config.decoder.hidden_size << "\n";
}

// What config.json says and nobody here reads: code of the folder's own is never run.
void print_unread(const std::vector<std::string>& fields) {
  constexpr size_t kShown = 8;
  if (fields.empty()) return;
  std::cout << "unread      " << fields.size() << " fields of config.json: ";
  for (size_t i = 0; i < std::min(kShown, fields.size()); ++i)
    std::cout << (i > 0 ? ", " : "") << printable(fields[i]);
  std::cout << (fields.size() > kShown ? ", ... (--json lists all)" : "") << "\n";
  if (std::find(fields.begin(), fields.end(), "auto_map") != fields.end())
    std::cout << "            auto_map asks to run Python code of the folder, which never happens\n";
}

void print_inspection(const Inspection& inspection) {
  if (inspection.config) {
    print_config(*inspection.config);
    const ParameterCount& count = inspection.parameters;
    std::cout << "parameters  " << grouped(count.decoder_total) << " in the language model, "
              << grouped(count.decoder_active) << " active for a token (as the paper counts)\n"
              << "            " << grouped(count.total) << " with projector and tower, "
              << grouped(count.active) << " active\n";
    print_unread(inspection.config->unread_fields);
  }
  if (inspection.adapter) {
    const InspectedAdapter& adapter = *inspection.adapter;
    std::cout << "adapter     LoRA of rank " << adapter.settings.rank << ", alpha "
              << string_printf("%g", adapter.settings.alpha) << ": " << grouped(adapter.parameters)
              << " parameters beside " << printable(adapter.base.string()) << "\n";
  }
  const std::string dtypes = joined(inspection.bytes_of_dtype, ", ", [](const auto& dtype) {
    return dtype.first + " " + grouped(dtype.second);
  });
  std::cout << "weights     " << grouped(inspection.bytes) << " bytes in " << grouped(inspection.tensors)
            << " tensors: " << dtypes << "\n";
  if (inspection.tokens) std::cout << "tokenizer   " << grouped(int64_t{*inspection.tokens}) << " tokens\n";
  std::cout << "loads       " << (inspection.problems.empty() ? "yes" : "no") << "\n";
}

void inspect(const InspectFlags& flags) {
  const Inspection inspection = inspect_model(flags.model,
                                              {.model_base = flags.model_base,
                                               .vision_tower = flags.vision_tower,
                                               .mm_projector = flags.mm_projector},
                                              /*read_values=*/flags.check);
  if (flags.json) {
    std::cout << inspection_json(inspection).dump(1) << "\n";
  } else {
    print_inspection(inspection);
  }
  std::cout << std::flush;
  const std::vector<std::string>& problems = inspection.problems;
  for (size_t i = 0; i + 1 < problems.size(); ++i) std::cerr << "error: " << problems[i] << "\n";
  if (!problems.empty()) throw Error(ErrorKind::BadData, problems.back());
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("inspect", "What a model holds, and whether it would load");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("model", flags->model, "model folder or .gguf file")->required()->type_name("DIR|FILE");
  command->add_option("--model-base", flags->model_base, "of a LoRA adapter: the model it belongs to")
      ->type_name("DIR");
  command->add_option("--vision-tower", flags->vision_tower, "the tower's own folder or file")
      ->type_name("PATH");
  command->add_option("--mm-projector", flags->mm_projector, "the projector's own mm_projector.bin")
      ->type_name("FILE");
  command->add_flag("--json", flags->json, "for programs");
  command->add_flag("--check", flags->check, "read every tensor and look for values that are not finite");
  command->footer(R"(Examples:
  moe-llava inspect MoE-LLaVA-Phi2-2.7B-4e
  moe-llava inspect run/stage3 --check --json

When the model would not load, every reason is named and the exit status is 3.)");
  command->callback([flags] { inspect(*flags); });
}

}  // namespace moellava
