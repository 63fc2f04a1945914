// `moe-llava compare`: results of eval side by side.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "eval/comparison.hpp"
#include "eval/published_results.hpp"

namespace moellava {

namespace {

void compare(const std::vector<std::string>& files, std::vector<std::string> labels, bool published) {
  std::vector<std::vector<EvalResult>> reports;
  for (const std::string& file : files) reports.push_back(read_results(file));
  if (labels.empty()) {
    for (const std::vector<EvalResult>& report : reports)
      labels.push_back(folder_name(report[0].model) + (report[0].blank_images ? ", image blanked" : ""));
  }
  std::string text = comparison(reports, labels);
  if (published) text += "\n" + published_tables(reports, labels);
  std::fputs(text.c_str(), stdout);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("compare", "Results of eval side by side, and whether they differ by chance");
  auto files = std::make_shared<std::vector<std::string>>();
  auto labels = std::make_shared<std::vector<std::string>>();
  auto published = std::make_shared<bool>(false);
  command->add_option("results", *files, "result files or --out folders of eval")
      ->required()
      ->type_name("RESULT");
  command
      ->add_option("--labels", *labels, "heads of the columns, one for each result (default: model folders)")
      ->type_name("TEXT");
  command->add_flag("--published", *published, "the paper's own results, too");
  command->footer(R"(Examples:
  moe-llava compare moe.json blank.json dense.json --labels "MoE" "MoE, image blanked" "dense"
  moe-llava compare scores blank-scores)");
  command->callback([files, labels, published] { compare(*files, *labels, *published); });
}

}  // namespace moellava
