#include "cli/in_processes.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "cli/failure.hpp"

namespace moellava {

namespace {

// Where all fail alike, the first has spoken and ended them before the others would.
constexpr auto kFirstSpeaks = std::chrono::milliseconds(500);

std::vector<std::string> own_command() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  words.at(0) = std::filesystem::read_symlink("/proc/self/exe").string();
  return words;
}

// Returns in all but the first process.
void become_mpirun(const Launch& launch) {
  if (launch.local_size != launch.size) {
    throw usage_error("torchrun", "starts processes on several machines, which need MPI",
                      {.found = std::to_string(launch.local_size) + " of " + std::to_string(launch.size) +
                                " processes here",
                       .hint = "use mpirun or srun"});
  }
  if (launch.rank != 0) return;
  std::vector<std::string> command = {"mpirun",          "-n",        std::to_string(launch.size),
                                      "--oversubscribe", "--bind-to", "none"};
  if (::geteuid() == 0) command.emplace_back("--allow-run-as-root");
  for (std::string& word : own_command()) command.push_back(std::move(word));
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}) ::unsetenv(name);
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  throw io_error("mpirun", "cannot be started in torchrun's place", errno);
}

[[noreturn]] void end_all(Processes& processes, const Failure& failure) {
  if (!processes.first()) std::this_thread::sleep_for(kFirstSpeaks);
  std::fprintf(stderr, "error: %s: %s\n", rank_text(processes.rank(), processes.size()).c_str(),
               failure.message.c_str());
  processes.abort(failure.exit_code);
}

}  // namespace

void in_processes(std::chrono::seconds standstill, const std::function<void(Processes&)>& work) {
  const Launch launch = detect_launch(std::getenv);
  if (launch.by == Launcher::Torchrun) return become_mpirun(launch);
  Processes processes(launch, standstill);
  if (processes.size() == 1) return work(processes);
  try {
    work(processes);
  } catch (...) {
    end_all(processes, current_failure());
  }
}

int threads_of_process(const Launch& launch) {
  cpu_set_t allowed;
  const int online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  const int usable = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : online;
  // A launcher that binds processes has shared the processors out already.
  return usable < online ? usable : std::max(1, usable / launch.local_size);
}

}  // namespace moellava
