// `moe-llava routing`: which experts the tokens of questions and their pictures go to.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/progress.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "eval/prepare.hpp"
#include "generate/engine.hpp"
#include "routing/plot.hpp"
#include "routing/statistics.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

struct RoutingFlags {
  ModelOptions model;
  std::string questions;
  std::string image_folder;
  int64_t limit = 0;
  std::string out;
};

RoutingTrace trace_prompts(const LoadedModel& loaded, const std::vector<Question>& questions,
                           const std::string& image_folder, const MoeRun& run) {
  MoeConfig moe = loaded.model->config().moe;
  moe.top_k = run.top_k.value_or(moe.top_k);
  RoutingTrace trace(moe);
  QuestionPictures pictures(*loaded.model, image_folder, /*blank=*/false);
  Progress progress("routing", static_cast<int64_t>(questions.size()));
  for (size_t i : picture_order(questions)) {
    const at::Tensor features = pictures.features(questions[i]);
    const std::vector<int32_t> ids =
        question_ids(*loaded.model, *loaded.tokenizer, questions[i].text, features.defined());
    const ForwardResult pass = forward_prompt(*loaded.model, ids, features, run);
    trace.add(pass.routing, pass.is_image);
    progress.update(trace.passes());
  }
  return trace;
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw make_error(ErrorKind::Io, printable(folder.string()), "cannot be made: " + failure.message());
}

void show_routing(const RoutingFlags& flags) {
  make_folder(flags.out);
  std::vector<Question> questions = read_questions(flags.questions);
  if (flags.limit > 0) questions.resize(std::min(questions.size(), static_cast<size_t>(flags.limit)));
  const LoadedModel loaded = flags.model.load();
  if (!loaded.model->config().moe.enabled())
    throw usage_error(flags.model.model, "a dense model, it has no routers");

  const MoeRun run = flags.model.moe_run(*loaded.model);
  const RoutingStatistics statistics =
      routing_statistics(trace_prompts(loaded, questions, flags.image_folder, run));
  const fs::path out(flags.out);
  write_file_atomic(out / "load.svg", load_plot(statistics));
  write_file_atomic(out / "load.csv", routing_csv(statistics));
  write_file_atomic(out / "routing.json", routing_json(statistics).dump(2) + "\n");
  std::fputs(routing_bars(statistics).c_str(), stdout);
}

}  // namespace

void add_routing_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("routing", "Show which experts do the work, layer by layer");
  auto flags = std::make_shared<RoutingFlags>();
  flags->model.add_to(*command);
  command->add_option("--questions", flags->questions, "JSON lines {question_id, image, text}")
      ->required()
      ->type_name("FILE")
      ->group("Questions");
  command->add_option("--image-folder", flags->image_folder, "folder that picture names are relative to")
      ->type_name("DIR")
      ->group("Questions");
  command->add_option("--limit", flags->limit, "only the first N questions")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N")
      ->group("Questions");
  command->add_option("--out", flags->out, "folder for load.svg, load.csv and routing.json")
      ->required()
      ->type_name("DIR")
      ->group("Output");
  command->footer(
      R"(Prints a line for each layer whose bars show the experts by number, as wide as their share of the first choices.

Examples:
  moe-llava routing --model run/stage3 --questions test.jsonl --image-folder images --limit 200 --out routing)");
  command->callback([flags] { show_routing(*flags); });
}

}  // namespace moellava
