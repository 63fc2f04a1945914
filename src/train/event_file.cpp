#include "train/event_file.hpp"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

#include "base/crc.hpp"
#include "base/error.hpp"
#include "files/bytes.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// --- Protocol buffers: a field is a key, (number << 3 | wire type), and its value ------------------

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string key(uint32_t field, WireType type) {
  return varint(field << 3 | type);
}
std::string double_field(uint32_t field, double value) {
  return key(field, kFixed64) + raw_bytes(value);
}
std::string float_field(uint32_t field, float value) {
  return key(field, kFixed32) + raw_bytes(value);
}
std::string integer_field(uint32_t field, int64_t value) {
  return key(field, kVarint) + varint(static_cast<uint64_t>(value));
}
std::string bytes_field(uint32_t field, const std::string& value) {
  return key(field, kBytes) + varint(value.size()) + value;
}

// Fields of the messages Event, Summary, Summary.Value and SessionLog.
constexpr uint32_t kEventTime = 1;
constexpr uint32_t kEventStep = 2;
constexpr uint32_t kEventVersion = 3;
constexpr uint32_t kEventSummary = 5;
constexpr uint32_t kEventSession = 7;
constexpr uint32_t kSummaryValue = 1;
constexpr uint32_t kValueTag = 1;
constexpr uint32_t kValueNumber = 2;
constexpr uint32_t kSessionStatus = 1;
constexpr int64_t kSessionStart = 1;

// --- Records --------------------------------------------------------------------------------------

// Sums over data that holds sums itself are weak, so they are written rotated and shifted.
uint32_t masked_crc(const std::string& bytes) {
  const uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return std::rotr(crc, 15) + 0xa282ead8u;
}

std::string record(const std::string& data) {
  const std::string length = raw_bytes(static_cast<uint64_t>(data.size()));
  return length + raw_bytes(masked_crc(length)) + data + raw_bytes(masked_crc(data));
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0' || std::strchr(name, '/') != nullptr)
    return "localhost";
  return name;
}

}  // namespace

std::string event_version_record(double time) {
  return record(double_field(kEventTime, time) + bytes_field(kEventVersion, "brain.Event:2"));
}

std::string event_restart_record(double time, int64_t step) {
  return record(double_field(kEventTime, time) + integer_field(kEventStep, step) +
                bytes_field(kEventSession, integer_field(kSessionStatus, kSessionStart)));
}

std::string event_scalars_record(double time, int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    summary += bytes_field(kSummaryValue, bytes_field(kValueTag, scalar.tag) +
                                              float_field(kValueNumber, static_cast<float>(scalar.value)));
  }
  return record(double_field(kEventTime, time) + integer_field(kEventStep, step) +
                bytes_field(kEventSummary, summary));
}

EventFile::EventFile(const fs::path& folder, int64_t first_step) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw io_error(folder.string(), "cannot be made", failure.value());
  const double time = now();
  const std::string name = "events.out.tfevents." + std::to_string(static_cast<int64_t>(time)) + "." +
                           host_name() + "." + std::to_string(::getpid()) + ".";
  // "x": never into a file that is there.
  for (int number = 0; !file_; ++number) {
    path_ = folder / (name + std::to_string(number));
    file_.reset(std::fopen(path_.c_str(), "wbxe"));
    if (!file_ && errno != EEXIST) throw io_error(path_.string(), "cannot open", errno);
  }
  write(event_version_record(time));
  if (first_step > 1) write(event_restart_record(time, first_step));
}

void EventFile::add(int64_t step, std::span<const Scalar> scalars) {
  write(event_scalars_record(now(), step, scalars));
}

void EventFile::write(const std::string& record) {
  errno = 0;
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    throw io_error(path_.string(), "cannot write", errno);
  }
}

}  // namespace moellava
