// The commands of the program. Each function adds one subcommand; its callback does the work and throws
// Error.
#pragma once

#include <CLI/CLI.hpp>

namespace moellava {

void add_chat_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_dump_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_plot_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_routing_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_merge_command(CLI::App& app);
void add_make_random_command(CLI::App& app);
void add_bench_command(CLI::App& app);

}  // namespace moellava
