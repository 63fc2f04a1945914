// `moe-llava routing`: which experts the tokens of questions, their pictures and the answers go to.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/progress.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/routing_views.hpp"
#include "cli/trace_recorder.hpp"
#include "eval/prepare.hpp"
#include "routing/page.hpp"
#include "routing/sample_sheet.hpp"
#include "routing/tables.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

struct RoutingFlags {
  ModelOptions model;
  std::vector<std::string> data;
  std::vector<std::string> image_folders;
  std::vector<std::string> traces;
  int64_t limit = 0;
  int64_t max_new_tokens = 12;
  int64_t shown = 12;
  std::string out;
};

// Questions of one file and where their pictures are.
struct QuestionFile {
  std::string name;
  std::vector<Question> questions;
  fs::path image_folder;
};

std::vector<QuestionFile> read_data(const RoutingFlags& flags) {
  if (flags.image_folders.size() > 1 && flags.image_folders.size() != flags.data.size()) {
    throw usage_error(
        "--image-folder", "neither one for all nor one for each --data",
        {.found = std::to_string(flags.image_folders.size()), .expected = std::to_string(flags.data.size())});
  }
  std::vector<QuestionFile> files;
  for (size_t i = 0; i < flags.data.size(); ++i) {
    QuestionFile& file = files.emplace_back();
    file.name = fs::path(flags.data[i]).stem().string();
    file.questions = read_questions(flags.data[i]);
    if (flags.limit > 0)
      file.questions.resize(std::min(file.questions.size(), static_cast<size_t>(flags.limit)));
    if (!flags.image_folders.empty())
      file.image_folder = flags.image_folders[flags.image_folders.size() > 1 ? i : 0];
    require_none_missing(missing_pictures(file.questions, file.image_folder));
  }
  return files;
}

// Asks every question and records where its tokens and those of the answer go.
RoutingTrace record(const RoutingFlags& flags, const std::vector<QuestionFile>& files) {
  const LoadedModel loaded = flags.model.load();
  const MoeLlava& model = *loaded.model;
  GenerateRequest request;
  request.max_new_tokens = flags.max_new_tokens;
  request.stop_ids = stop_ids(model, *loaded.tokenizer);
  request.stop = stop_texts(model, *loaded.tokenizer);
  request.moe = flags.model.moe_run(model);
  TraceRecorder recorder(model, *loaded.tokenizer, flags.model.model, request.moe.top_k);
  request.on_routing = [&](auto ids, auto routing) { recorder.add(ids, routing); };
  Engine engine(model, *loaded.tokenizer);
  int64_t total = 0;
  for (const QuestionFile& file : files) total += static_cast<int64_t>(file.questions.size());
  Progress progress("routing", total);
  for (const QuestionFile& file : files) {
    QuestionPictures pictures(model, file.image_folder, /*blank=*/false);
    for (const size_t i : picture_order(file.questions)) {
      const Question& question = file.questions[i];
      request.features = pictures.features(question);
      request.ids = question_ids(model, *loaded.tokenizer, question.text, request.features.defined());
      recorder.begin(traced_sample(question, file.name));
      engine.generate(request);
      progress.update(static_cast<int64_t>(recorder.trace().samples.size()));
    }
  }
  return recorder.trace();
}

RoutingTrace read_traces(const std::vector<std::string>& files) {
  RoutingTrace trace = read_trace(files[0]);
  for (size_t i = 1; i < files.size(); ++i) trace.append(read_trace(files[i]), files[i]);
  return trace;
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw make_error(ErrorKind::Io, printable(folder.string()), "cannot be made: " + failure.message());
}

void write_tables(const fs::path& out, const RoutingStatistics& statistics) {
  write_file_atomic(out / "load.csv", load_csv(statistics));
  write_file_atomic(out / "groups.csv", groups_csv(statistics));
  write_file_atomic(out / "co_activation.csv", co_activation_csv(statistics));
  write_file_atomic(out / "pathways.csv", pathways_csv(statistics));
  const Json json = routing_json(statistics);
  write_file_atomic(out / "routing.json",
                    json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
}

void write_both(const fs::path& stem, const Picture& picture) {
  write_picture(fs::path(stem).concat(".svg"), picture);
  write_picture(fs::path(stem).concat(".png"), picture);
}

void write_pictures(const fs::path& out, const RoutingTrace& trace, const RoutingStatistics& statistics,
                    const std::vector<SampleView>& views) {
  const std::vector<Figure> figures = routing_figures(statistics);
  for (const Figure& figure : figures) write_both(out / figure.name, figure_picture(figure));
  if (!views.empty()) make_folder(out / "questions");
  for (size_t i = 0; i < views.size(); ++i)
    write_both(out / "questions" / std::to_string(i + 1), sample_sheet(trace, views[i]));
  write_file_atomic(out / "routing.html", routing_page(trace, statistics, figures, views));
}

void show_routing(const RoutingFlags& flags) {
  const bool from_traces = !flags.traces.empty();
  if (!from_traces && flags.model.model.empty())
    throw usage_error("--model", "missing", {.expected = "--model and --data, or --from-trace"});
  if (!from_traces && flags.data.empty()) throw usage_error("--data", "missing");
  const fs::path out(flags.out);
  RoutingTrace trace;
  if (from_traces) {
    trace = read_traces(flags.traces);
    make_folder(out);
  } else {
    const std::vector<QuestionFile> files = read_data(flags);
    make_folder(out);
    trace = record(flags, files);
    write_trace(out / "trace.safetensors", trace);
  }
  const RoutingStatistics statistics = routing_statistics(trace);
  const std::vector<SampleView> views =
      load_views(trace, static_cast<size_t>(flags.shown), flags.image_folders);
  write_tables(out, statistics);
  write_pictures(out, trace, statistics, views);
  std::fputs(routing_bars(statistics).c_str(), stdout);
}

}  // namespace

void add_routing_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("routing", "Show which experts do the work, layer by layer");
  auto flags = std::make_shared<RoutingFlags>();
  flags->model.add_to(*command);
  command->get_option("--model")->required(false);
  command
      ->add_option(
          "--data,--questions", flags->data,
          "JSON lines {question_id, image, text, category}; again for more files, which are compared")
      ->type_name("FILE")
      ->group("Questions");
  command
      ->add_option("--image-folder", flags->image_folders,
                   "folder that picture names are relative to; one for all, or one for each --data")
      ->type_name("DIR")
      ->group("Questions");
  CLI::Option* limit = command->add_option("--limit", flags->limit, "only the first N questions of each file")
                           ->check(number_from<int64_t>(1, 1 << 30))
                           ->type_name("N")
                           ->group("Questions");
  command->add_option("--max-new-tokens", flags->max_new_tokens, "longest answer; 0: the prompts alone")
      ->check(number_from<int64_t>(0, 1 << 20))
      ->type_name("N")
      ->group("Questions")
      ->capture_default_str();
  command
      ->add_option(
          "--from-trace", flags->traces,
          "instead of asking a model: traces of eval, chat or routing; again for more, which are joined")
      ->type_name("FILE")
      ->group("Questions")
      ->excludes("--model")
      ->excludes("--data")
      ->excludes(limit);
  command->add_option("--pictures", flags->shown, "questions that are shown word by word and patch by patch")
      ->check(number_from<int64_t>(0, 10000))
      ->type_name("N")
      ->group("Output")
      ->capture_default_str();
  command->add_option("--out", flags->out, "folder for routing.html, tables, pictures and the trace")
      ->required()
      ->type_name("DIR")
      ->group("Output");
  command->footer(
      R"(Prints a line for each layer whose bars show the experts by number, as wide as their share of the first choices.

Examples:
  moe-llava routing --model run/stage3 --data test.jsonl --image-folder images --limit 200 --out routing
  moe-llava routing --from-trace pope.safetensors --from-trace mme.safetensors --out routing)");
  command->callback([flags] { show_routing(*flags); });
}

}  // namespace moellava
