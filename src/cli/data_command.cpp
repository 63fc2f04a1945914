// `moe-llava data check`: what is wrong with training data, all of it, before training.
#include <ATen/Parallel.h>

#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "model/gguf_model.hpp"
#include "model/load.hpp"
#include "model/model_folder.hpp"
#include "train/data_check.hpp"

namespace moellava {

namespace {

struct DataFlags {
  std::string action;
  std::vector<std::string> data_path;
  std::string image_folder;
  std::string model;
  std::string version;
  int64_t max_length = 2048;
  int threads = 0;
  bool skip_decoding = false;
  bool json = false;
};

ModelConfig config_of(const std::filesystem::path& model) {
  return model.extension() == ".gguf" ? gguf_model_config(open_gguf(model)) : read_model_config(model);
}

Json problem_json(const DataProblem& problem) {
  Json json = {{"file", problem.file},
               {"record", problem.record},
               {"severity", problem.warning ? "warning" : "error"},
               {"message", problem.message}};
  if (problem.line > 0) json["line"] = problem.line;
  if (!problem.id.empty()) json["id"] = problem.id;
  return json;
}

void check(const DataFlags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  DataCheckOptions options{.data = {.text = {}, .image_folder = flags.image_folder, .index_folder = {}},
                           .preprocess = {},
                           .decode = !flags.skip_decoding};
  std::unique_ptr<Tokenizer> tokenizer;
  if (!flags.model.empty()) {
    const ModelConfig config = config_of(flags.model);
    tokenizer = load_tokenizer(flags.model);
    options.preprocess = config.preprocess;
    options.data.text = {
        .tokenizer = tokenizer.get(),
        .style = &conversation_style(flags.version.empty() ? config.conversation : flags.version),
        .max_length = flags.max_length,
        .vocab_size = config.decoder.vocab_size};
  }
  Json list = Json::array();
  const DataReport report =
      check_data({flags.data_path.begin(), flags.data_path.end()}, options, [&](const DataProblem& problem) {
        if (flags.json) {
          list.push_back(problem_json(problem));
        } else {
          std::cout << (problem.warning ? "warning: " : "error: ") << problem.message << "\n";
        }
      });
  if (flags.json) {
    const Json json = {{"samples", report.samples},
                       {"pictures", report.pictures},
                       {"bad", report.bad},
                       {"warnings", report.warnings},
                       {"problems", list}};
    std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    std::cout << report.samples << " good samples, " << report.pictures << " pictures, " << report.bad
              << " bad records, " << report.warnings << " warnings\n";
  }
  if (report.bad == 0) return;
  throw bad_data("--data_path", "holds bad records",
                 {.found = std::to_string(report.bad), .expected = "none, or train --skip_bad_samples"});
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("data", "Look for mistakes in training data before training");
  auto flags = std::make_shared<DataFlags>();
  command->add_option("action", flags->action, "check")
      ->required()
      ->check(CLI::IsMember({"check"}))
      ->type_name("check");
  command->add_option("--data_path", flags->data_path, "one or more LLaVA files, JSON or JSON Lines")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--image_folder", flags->image_folder,
                   "folder that the data's picture names are relative to")
      ->type_name("DIR");
  command->add_option("--model", flags->model, "also tokenise, as this model does: finds what would be cut")
      ->type_name("DIR|FILE");
  command->add_option("--version", flags->version, "conversation style (default: the model's own)")
      ->type_name("STYLE");
  command->add_option("--model_max_length", flags->max_length, "tokens a sample keeps (default 2048)")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->type_name("N");
  command->add_flag("--skip_decoding", flags->skip_decoding,
                    "do not decode pictures, only look whether they are there");
  command->add_option("--threads", flags->threads, "default: one a core")
      ->check(number_from<int>(1, 1024))
      ->type_name("N");
  command->add_flag("--json", flags->json, "for programs");
  command->footer(R"(Examples:
  moe-llava data check --data_path tune.json text.jsonl --image_folder images --model run/stage1

Every record that training would refuse is named with file, line, record and id, and the exit status is 3.
Records that are cut, or have the id of another one, are warnings.)");
  command->callback([flags] { check(*flags); });
}

}  // namespace moellava
