// The program: picks a command, turns every failure into one line and an exit code.
#include <csignal>
#include <cstdio>
#include <iostream>

#include "base/changed_file.hpp"
#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/failure.hpp"

namespace {

constexpr const char* kExamples = R"(Examples:
  moe-llava chat --model DIR --image photo.jpg --prompt "What is this?"
  moe-llava train --stage 1 --model_name_or_path llm.gguf --vision_tower tower.pth --data_path captions.json \
      --image_folder pictures --output_dir run/stage1)";

int fail(const std::string& message, int code) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return code;
}

// A full disk behind stdout shows when the last of it is written.
void finish_stdout() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw moellava::make_error(moellava::ErrorKind::Io, "stdout", "cannot be written");
}

int run(int argc, char** argv) {
  CLI::App app{"Sparse vision-language models: train, run, evaluate and understand MoE-LLaVA.", "moe-llava"};
  app.formatter(std::make_shared<moellava::HelpFormatter>());
  app.set_version_flag("-V,--version", MOELLAVA_VERSION);
  app.require_subcommand(1);
  app.option_defaults()
      ->take_last();  // a flag given twice: the later one counts, as wrappers of commands expect
  app.footer(kExamples);
  moellava::add_chat_command(app);
  moellava::add_tokenize_command(app);
  moellava::add_dump_command(app);
  moellava::add_train_command(app);
  moellava::add_plot_command(app);
  moellava::add_data_command(app);
  moellava::add_eval_command(app);
  moellava::add_compare_command(app);
  moellava::add_routing_command(app);
  moellava::add_inspect_command(app);
  moellava::add_merge_command(app);
  moellava::add_make_random_command(app);
  moellava::add_bench_command(app);

  const std::vector<std::string> arguments = moellava::normalise_flags(app, {argv + 1, argv + argc});
  try {
    // CLI11 takes the arguments from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    finish_stdout();
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return fail(moellava::usage_message(app, error, arguments), static_cast<int>(moellava::ErrorKind::Usage));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that closes early (head -1) ends the program quietly.
  std::signal(SIGPIPE, SIG_DFL);
  moellava::report_changed_files();
  try {
    return run(argc, argv);
  } catch (...) {
    const moellava::Failure failure = moellava::current_failure();
    return fail(failure.message, failure.exit_code);
  }
}
