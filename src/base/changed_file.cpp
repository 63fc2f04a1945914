#include "base/changed_file.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>

#include "base/error.hpp"

namespace moellava {

namespace {

// What the handler reads: plain words, written in an order that keeps it from seeing half of an entry. The
// message is looked at only when the fault lies in the range, so its mapping is alive.
struct Slot {
  std::atomic<bool> taken;
  std::atomic<uintptr_t> begin;
  std::atomic<uintptr_t> end;  // 0: not watched
  std::atomic<const char*> message;
  std::atomic<size_t> length;
};
static_assert(std::atomic<const char*>::is_always_lock_free && std::atomic<size_t>::is_always_lock_free);

std::array<Slot, MappingWatch::kMost> slots;  // zero before anything runs

// Only async-signal-safe calls.
void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Slot& slot : slots) {
    if (address >= slot.end || address < slot.begin) continue;
    const ssize_t ignored = ::write(STDERR_FILENO, slot.message, slot.length);
    static_cast<void>(ignored);
    ::_exit(static_cast<int>(ErrorKind::BadData));
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void report_changed_files() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

MappingWatch::MappingWatch(std::span<const std::byte> mapped, const std::string& path)
    : message_("error: " + printable(path) +
               ": changed while in use: found it shorter than when it was opened\n") {
  for (slot_ = 0; slot_ < kMost; ++slot_) {
    Slot& slot = slots[slot_];
    if (slot.taken.exchange(true)) continue;
    slot.message = message_.data();
    slot.length = message_.size();
    slot.begin = reinterpret_cast<uintptr_t>(mapped.data());
    slot.end = reinterpret_cast<uintptr_t>(mapped.data() + mapped.size());
    return;
  }
}

MappingWatch::~MappingWatch() {
  if (slot_ == kMost) return;
  slots[slot_].end = 0;
  slots[slot_].taken = false;
}

}  // namespace moellava
