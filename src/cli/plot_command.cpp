// `moe-llava plot`: the course of training runs as a picture.
#include <iostream>
#include <memory>
#include <set>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "train/history_picture.hpp"

namespace moellava {

namespace {

struct PlotFlags {
  std::vector<std::string> runs;
  std::string out = "history.svg";
};

// Runs are told apart by the shortest end of their paths that no other has: run/stage1, run/stage2 -> stage1,
// stage2; a/stage3, b/stage3 -> a/stage3, b/stage3.
std::vector<std::string> names_of(const std::vector<std::string>& runs) {
  std::vector<std::string> names(runs.size());
  for (size_t parts = 1; parts <= 64; ++parts) {
    for (size_t r = 0; r < runs.size(); ++r) {
      std::filesystem::path left = std::filesystem::path(runs[r]).lexically_normal();
      if (left.filename().empty()) left = left.parent_path();
      std::filesystem::path name = left.filename();
      for (size_t i = 1; i < parts && left.has_parent_path() && left.parent_path() != left; ++i) {
        left = left.parent_path();
        name = left.filename() / name;
      }
      names[r] = printable(name.string());
    }
    if (std::set<std::string>(names.begin(), names.end()).size() == names.size()) break;
  }
  return names;
}

void plot(const PlotFlags& flags) {
  const std::vector<std::string> names = names_of(flags.runs);
  std::vector<RunHistory> runs;
  for (size_t r = 0; r < flags.runs.size(); ++r) {
    runs.push_back(read_history(flags.runs[r]));
    runs.back().name = names[r];
  }
  write_picture(flags.out, history_picture(runs));
  std::cout << flags.out << "\n";
}

}  // namespace

void add_plot_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plot", "Draw the losses and expert loads of training runs");
  auto flags = std::make_shared<PlotFlags>();
  command->add_option("runs", flags->runs, "output folders of train, finished or under way, or checkpoints")
      ->required()
      ->type_name("RUN");
  command->add_option("--out", flags->out, "picture to write, .svg or .png (default history.svg)")
      ->type_name("FILE");
  command->footer(R"(Examples:
  moe-llava plot run/stage3
  moe-llava plot run/stage3 run/dense --out losses.png)");
  command->callback([flags] { plot(*flags); });
}

}  // namespace moellava
